"""Which messages pass between a visitor and the kernel, and what becomes of errors on the way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_dashboard.frames import Frame, FrameError, read, split, written
from madang_dashboard.limits import MIB
from madang_dashboard.messages import (
    CONTROL,
    CONTROLS,
    ERROR_TEXT,
    WIDGET,
    Conversation,
    RefusedError,
)

HEADER = {"msg_id": "1", "session": "s", "username": "u", "date": "d", "version": "5.3"}


def message(
    kind: str,
    content: dict[str, Any],
    channel: str = "shell",
    buffers: tuple[bytes, ...] = (),
    metadata: dict[str, Any] | None = None,
    **header: Any,
) -> bytes:
    whole = {**HEADER, "msg_type": kind, **header}
    return Frame(
        channel, written(whole), b"{}", written(metadata or {}), written(content), buffers
    ).joined()


@given(st.lists(st.binary(max_size=40), max_size=6), st.text(max_size=8))
def test_frames_come_back_as_they_were(buffers: list[bytes], channel: str) -> None:
    frame = Frame(channel, b"h", b"p", b"m", b"c", tuple(buffers))
    assert split(frame.joined()) == frame


@given(st.binary(max_size=200))
def test_bytes_that_are_no_frame_are_refused_and_nothing_else_happens(raw: bytes) -> None:
    with pytest.raises(FrameError):
        split(raw)


@given(st.data())
def test_a_changed_frame_never_reaches_outside_itself(data: st.DataObject) -> None:
    raw = bytearray(message("comm_msg", {"comm_id": "a"}, buffers=(b"12345",)))
    at = data.draw(st.integers(0, 8 * 9))
    raw[at] = data.draw(st.integers(0, 255))
    try:
        frame = split(bytes(raw))
    except FrameError:
        return
    parts = [frame.header, frame.parent, frame.metadata, frame.content, *frame.buffers]
    assert sum(len(part) for part in parts) <= len(raw)


class TestAsked:
    @pytest.mark.parametrize(
        "kind",
        [
            "execute_request",
            "shutdown_request",
            "interrupt_request",
            "input_reply",
            "inspect_request",
            "complete_request",
            "history_request",
            "is_complete_request",
            "debug_request",
            "create_subshell_request",
            "connect_request",
            "status",
            "",
        ],
    )
    @pytest.mark.parametrize("channel", ["shell", "control", "stdin", "iopub"])
    def test_orders_do_not_pass(self, kind: str, channel: str) -> None:
        with pytest.raises(RefusedError):
            Conversation().asked(message(kind, {"code": "1"}, channel))

    @pytest.mark.parametrize("channel", ["control", "stdin", "iopub", "Shell", ""])
    def test_only_on_shell(self, channel: str) -> None:
        with pytest.raises(RefusedError):
            Conversation().asked(message("kernel_info_request", {}, channel))

    @pytest.mark.parametrize(
        "target", ["jupyter.widget", "jupyter.widget.version", "x", CONTROL + "x"]
    )
    def test_no_other_comm_is_opened(self, target: str) -> None:
        talk = Conversation()
        with pytest.raises(RefusedError):
            talk.asked(message("comm_open", {"comm_id": "a", "target_name": target, "data": {}}))
        assert not talk.controls

    def test_a_widgets_answer_passes_with_its_buffers(self) -> None:
        talk = Conversation({"a"})
        data = {"method": "update", "state": {"value": "값"}, "buffer_paths": []}
        content = {"comm_id": "a", "data": data}
        sent = split(talk.asked(message("comm_msg", content, buffers=(b"\0\1",))))
        assert read(sent.content) == content
        assert sent.buffers == (b"\0\1",)

    def test_a_comm_that_the_kernel_did_not_open_is_not_there(self) -> None:
        talk = Conversation({"a"})
        for kind in ("comm_msg", "comm_close"):
            with pytest.raises(RefusedError):
                talk.asked(message(kind, {"comm_id": "b", "data": {}}))
        talk.asked(message("comm_close", {"comm_id": "a", "data": {}}))
        with pytest.raises(RefusedError):
            talk.asked(message("comm_msg", {"comm_id": "a", "data": {}}))

    def test_what_was_not_checked_does_not_travel_along(self) -> None:
        talk = Conversation({"a"})
        raw = message(
            "comm_msg",
            {"comm_id": "a", "data": {}, "target_module": "os"},
            metadata={"deletedCells": ["x"]},
            subshell_id="sub",
        )
        # the same name twice: readers differ in which one counts
        twice = split(raw)
        header = b'{"msg_type":"execute_request",' + twice.header[1:]
        sent = split(
            talk.asked(Frame("shell", header, b'{"a":1}', twice.metadata, twice.content).joined())
        )
        assert read(sent.content) == {"comm_id": "a", "data": {}}
        assert read(sent.header) == {**HEADER, "msg_type": "comm_msg"}
        assert sent.header.count(b"msg_type") == 1
        assert (sent.parent, sent.metadata, sent.buffers) == (b"{}", b"{}", ())

    def test_the_control_comm_asks_for_states_and_nothing_more(self) -> None:
        talk = Conversation()
        opened = {"comm_id": "c", "target_name": CONTROL, "data": {"x": 1}, "target_module": "os"}
        sent = split(
            talk.asked(message("comm_open", opened, metadata={"version": "1.0.0", "y": 1}))
        )
        assert read(sent.content) == {"comm_id": "c", "target_name": CONTROL, "data": {}}
        assert read(sent.metadata) == {"version": "1.0.0"}
        told = talk.asked(message("comm_msg", {"comm_id": "c", "data": {"method": "x"}}))
        assert read(split(told).content)["data"] == {"method": "request_states"}

    def test_control_comms_are_few(self) -> None:
        talk = Conversation()
        for number in range(CONTROLS):
            content = {"comm_id": str(number), "target_name": CONTROL, "data": {}}
            talk.asked(message("comm_open", content))
        with pytest.raises(RefusedError):
            talk.asked(message("comm_open", {"comm_id": "x", "target_name": CONTROL, "data": {}}))

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\xff" * 400,
            Frame("shell", b"[1]", b"{}", b"{}", b"{}").joined(),
            Frame("shell", b"{" * 50_000, b"{}", b"{}", b"{}").joined(),
            Frame("shell", b"{}", b"{}", b"{}", b"{}").joined(),
            message("comm_msg", {"comm_id": ["a"], "data": {}}),
            message("comm_msg", {"comm_id": "a", "data": "x"}),
            message("kernel_info_request", {}, msg_id="x" * 1000),
            message("kernel_info_request", {}, session=None),
        ],
    )
    def test_what_is_no_message_is_refused(self, raw: bytes) -> None:
        with pytest.raises(RefusedError):
            Conversation({"a"}).asked(raw)

    @pytest.mark.parametrize(
        "raw",
        [
            message("comm_msg", {"comm_id": "a", "data": {"x": "y" * MIB}}),
            message("comm_msg", {"comm_id": "a", "data": {}}, metadata={"x": "y" * 65536}),
            message("comm_msg", {"comm_id": "a", "data": {}}, date="d" * 4096),
        ],
        ids=["content", "metadata", "header"],
    )
    def test_no_large_part_is_read(self, raw: bytes) -> None:
        with pytest.raises(RefusedError, match="too large"):
            Conversation({"a"}).asked(raw)

    def test_an_upload_is_no_large_part(self) -> None:
        raw = message("comm_msg", {"comm_id": "a", "data": {}}, buffers=(bytes(4 * MIB),))
        assert len(Conversation({"a"}).asked(raw)) > 4 * MIB


ERROR = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["secret line"]}
STDERR = {"output_type": "stream", "name": "stderr", "text": "secret stderr"}
STDOUT = {"output_type": "stream", "name": "stdout", "text": "fine"}


class TestShown:
    def test_comms_are_learned_from_what_the_kernel_says(self) -> None:
        talk = Conversation()
        talk.controls.add("c")
        talk.shown(message("comm_open", {"comm_id": "a", "data": {}}, "iopub"))
        comms = {"b": {"target_name": "jupyter.widget"}, "c": {"target_name": CONTROL}}
        talk.shown(message("comm_info_reply", {"comms": comms}))
        states = {"method": "update_states", "states": {"d": {"state": {}}}}
        talk.shown(message("comm_msg", {"comm_id": "c", "data": states}, "iopub"))
        assert talk.comms == {"a", "b", "d"}
        talk.shown(message("comm_close", {"comm_id": "a", "data": {}}, "iopub"))
        assert talk.comms == {"b", "d"}

    def test_an_error_loses_its_lines(self) -> None:
        content = {"ename": "E", "evalue": "secret value", "traceback": ["secret line"]}
        shown = Conversation().shown(message("error", content, "iopub"))
        assert shown.message
        assert b"secret" not in shown.message
        assert shown.trouble == "secret line"
        assert shown.error

    def test_the_error_stream_is_left_out(self) -> None:
        shown = Conversation().shown(
            message("stream", {"name": "stderr", "text": "secret"}, "iopub")
        )
        assert (shown.message, shown.trouble) == (None, "secret")
        shown = Conversation().shown(message("stream", {"name": "stdout", "text": "fine"}, "iopub"))
        assert shown.message
        assert shown.trouble is None

    @pytest.mark.parametrize("kind", ["comm_msg", "comm_open"])
    def test_an_output_widget_holds_no_lines(self, kind: str) -> None:
        state = {"outputs": [ERROR, STDERR, STDOUT]}
        content = {"comm_id": "a", "data": {"method": "update", "state": state}}
        shown = Conversation().shown(message(kind, content, "iopub", buffers=(b"1",)))
        assert shown.message
        assert b"secret" not in shown.message
        frame = split(shown.message)
        outputs = read(frame.content)["data"]["state"]["outputs"]
        assert [o["output_type"] for o in outputs] == ["error", "stream"]
        assert outputs[0]["traceback"] == [ERROR_TEXT]
        assert frame.buffers == (b"1",)
        assert shown.trouble == "secret line\nsecret stderr"

    def test_all_states_at_once_hold_none_either(self) -> None:
        states = {"a": {"state": {"outputs": [ERROR]}}, "b": {"state": {"value": 1}}}
        content = {"comm_id": "c", "data": {"method": "update_states", "states": states}}
        shown = Conversation().shown(message("comm_msg", content, "iopub"))
        assert shown.message
        assert b"secret" not in shown.message

    def test_an_output_in_an_output_says_nothing_of_it(self) -> None:
        inner = {
            "output_type": "display_data",
            "data": {WIDGET: {}, "text/plain": "Output(secret)"},
        }
        content = {"comm_id": "a", "data": {"method": "update", "state": {"outputs": [inner]}}}
        shown = Conversation().shown(message("comm_msg", content, "iopub"))
        assert shown.message
        assert b"secret" not in shown.message
        (output,) = read(split(shown.message).content)["data"]["state"]["outputs"]
        assert output["data"] == {WIDGET: {}}
        assert (shown.trouble, shown.error) == (None, False)

    def test_an_error_whose_lines_are_gone_loses_its_name_as_well(self) -> None:
        error = {**ERROR, "ename": "SecretError", "evalue": "secret", "traceback": [ERROR_TEXT]}
        content = {"comm_id": "a", "data": {"method": "update", "state": {"outputs": [error]}}}
        shown = Conversation().shown(message("comm_msg", content, "iopub"))
        assert shown.message
        assert b"ecret" not in shown.message

    def test_a_widgets_repr_is_left_out(self) -> None:
        widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "Output(secret)"}
        shown = Conversation().shown(message("display_data", {"data": widget}, "iopub"))
        assert shown.message
        assert b"secret" not in shown.message
        plain = message("display_data", {"data": {"text/plain": "fine"}}, "iopub")
        assert Conversation().shown(plain).message == plain

    @pytest.mark.parametrize(
        ("kind", "channel"),
        [
            ("execute_input", "iopub"),
            ("execute_reply", "shell"),
            ("inspect_reply", "shell"),
            ("history_reply", "shell"),
            ("input_request", "stdin"),
            ("debug_event", "iopub"),
            ("status", "shell"),
        ],
    )
    def test_nothing_else_is_shown(self, kind: str, channel: str) -> None:
        shown = Conversation().shown(message(kind, {"code": "secret"}, channel))
        assert (shown.message, shown.trouble) == (None, None)

    def test_a_large_state_is_not_read(self) -> None:
        content = b'{"comm_id":"a","data":{"method":"update","state":{' + b"no json"
        raw = Frame("iopub", written({"msg_type": "comm_msg"}), b"{}", b"{}", content).joined()
        assert Conversation().shown(raw).message == raw
