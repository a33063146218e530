"""Which messages pass between a visitor and the kernel of the visit: an allow-list each way.

From the visitor: answers of widgets (``comm_msg`` and ``comm_close`` to comms that the kernel opened), the
opening of the one comm by which widgets' states are asked for, and two questions that widgets need. What
passes is written anew from the fields that were checked, so that nothing else travels along.

To the visitor: what draws. Errors lose their name, text and traceback and the error stream is left out,
wherever they come from: a cell, a callback, an ``Output`` widget. Their text goes to the author.

Names of messages and fields: https://jupyter-client.readthedocs.io/en/stable/messaging.html; widgets' protocol:
https://github.com/jupyter-widgets/ipywidgets/blob/main/packages/schema/messages.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from madang_dashboard.frames import Frame, FrameError, read, split, written
from madang_dashboard.limits import CONTENT, HEADER, METADATA

CONTROL = "jupyter.widget.control"
"""Target of the comm by which a page asks for the states of all widgets."""
WIDGET = "application/vnd.jupyter.widget-view+json"
"""Type of what displays a widget."""
CONTROLS = 8
"""Most comms of that target that a visit may have open."""
NAME = 128
"""Longest name or id in a message, in characters."""

ERROR_NAME = "Error"
ERROR_TEXT = "이 부분을 계산하지 못했습니다. / This part could not be computed."
"""What a visitor reads in place of an error."""

_HEADER = ("msg_id", "msg_type", "username", "session", "date", "version")

_SHOWN = {
    "iopub": {
        "status",
        "comm_open",
        "comm_msg",
        "comm_close",
        "stream",
        "display_data",
        "update_display_data",
        "execute_result",
        "clear_output",
        "error",
    },
    "shell": {"kernel_info_reply", "comm_info_reply"},
}


class RefusedError(ValueError):
    """A visitor's message does not pass; the text says why, for the log."""


@dataclass(frozen=True)
class Shown:
    """What becomes of a message of the kernel."""

    message: bytes | None
    """What the visitor gets; None for nothing."""
    trouble: str | None = None
    """What the author is told."""
    error: bool = False
    """The trouble is an error, not just a text on the error stream."""


@dataclass
class Conversation:
    """What is known of the comms of one visit's kernel; all sockets of the visit share it."""

    comms: set[str] = field(default_factory=set)
    """Comms that the kernel opened."""
    controls: set[str] = field(default_factory=set)
    """Comms that the visitor opened."""

    # ---- from the visitor ----------------------------------------------------------------

    def asked(self, message: bytes) -> bytes:
        """``message`` of the visitor as it may go to the kernel.

        Raises:
            RefusedError: it may not.
        """
        try:
            frame = split(message)
            parts = (frame.header, HEADER), (frame.metadata, METADATA), (frame.content, CONTENT)
            if any(len(part) > most for part, most in parts):
                raise RefusedError("a part that is too large")
            header, metadata, content = (read(part) for part, _ in parts)
        except FrameError as error:
            raise RefusedError(f"not a message: {error}") from None
        kind = _name(header, "msg_type")
        if frame.channel != "shell":
            raise RefusedError(f"{kind} on channel {frame.channel[:NAME]}")
        kept: dict[str, Any] = {}
        match kind:
            case "kernel_info_request":
                content = {}
            case "comm_info_request":
                content = {"target_name": "jupyter.widget"}
            case "comm_open":
                content, kept = self._opened(content, metadata)
            case "comm_msg":
                content = self._told(content)
            case "comm_close":
                content = {"comm_id": self._known(content), "data": {}}
                self.comms.discard(content["comm_id"])
                self.controls.discard(content["comm_id"])
            case _:
                raise RefusedError(kind)
        header = {name: _name(header, name) for name in _HEADER if name in header}
        return Frame(
            "shell",
            written(header),
            b"{}",
            written(kept),
            written(content),
            frame.buffers if kind == "comm_msg" else (),
        ).joined()

    def _known(self, content: dict[str, Any]) -> str:
        comm = _name(content, "comm_id")
        if comm not in self.comms and comm not in self.controls:
            raise RefusedError("a comm that the kernel did not open")
        return comm

    def _opened(
        self, content: dict[str, Any], metadata: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        comm, target = _name(content, "comm_id"), _name(content, "target_name")
        if target != CONTROL:
            raise RefusedError(f"comm_open to {target}")
        if comm in self.comms or comm in self.controls or len(self.controls) >= CONTROLS:
            raise RefusedError("comm_open of one that is there, or one too many")
        self.controls.add(comm)
        # the version of the widgets' protocol, which the kernel compares
        kept = {"version": _name(metadata, "version")} if "version" in metadata else {}
        return {"comm_id": comm, "target_name": CONTROL, "data": {}}, kept

    def _told(self, content: dict[str, Any]) -> dict[str, Any]:
        comm, data = self._known(content), content.get("data")
        if not isinstance(data, dict):
            raise RefusedError("comm_msg without data")
        if comm in self.controls:
            data = {"method": "request_states"}
        return {"comm_id": comm, "data": data}

    # ---- to the visitor ------------------------------------------------------------------

    def shown(self, message: bytes) -> Shown:
        """What the visitor gets of ``message`` of the kernel; comms that it opens are known from then on."""
        try:
            frame = split(message)
            kind = read(frame.header).get("msg_type")
            if kind not in _SHOWN.get(frame.channel, ()):
                return Shown(None)
            match kind:
                case "error":
                    content = read(frame.content)
                    text = "\n".join(str(line) for line in content.get("traceback") or [])
                    hidden = {"ename": ERROR_NAME, "evalue": "", "traceback": [ERROR_TEXT]}
                    clean = replace(frame, content=written(hidden), metadata=b"{}")
                    return Shown(clean.joined(), text or str(content.get("evalue")), True)
                case "stream":
                    content = read(frame.content)
                    if content.get("name") != "stdout":
                        return Shown(None, str(content.get("text")))
                case "comm_info_reply":
                    for comm, about in read(frame.content).get("comms", {}).items():
                        if comm not in self.controls and about.get("target_name") != CONTROL:
                            self.comms.add(comm)
                case "display_data" | "update_display_data" | "execute_result":
                    content = read(frame.content)
                    if without_repr(content.get("data")):
                        return Shown(replace(frame, content=written(content)).joined())
                case "comm_open" | "comm_msg" | "comm_close":
                    return self._comm(str(kind), frame, message)
        except FrameError:
            return Shown(None)
        return Shown(message)

    def _comm(self, kind: str, frame: Frame, message: bytes) -> Shown:
        if kind == "comm_msg" and not (
            b"output_type" in frame.content or b"update_states" in frame.content
        ):
            # nothing to learn or to hide: not read, since it may be large
            return Shown(message)
        content = read(frame.content)
        data = content.get("data")
        if kind == "comm_open":
            self.comms.add(str(content.get("comm_id")))
        elif kind == "comm_close":
            self.comms.discard(str(content.get("comm_id")))
        if not isinstance(data, dict):
            return Shown(message)
        states = [data.get("state")]
        if data.get("method") == "update_states" and isinstance(data.get("states"), dict):
            self.comms.update(data["states"])
            states = [
                about.get("state") for about in data["states"].values() if isinstance(about, dict)
            ]
        found = [_cleaned(state) for state in states]
        if not any(changed for changed, _ in found):
            return Shown(message)
        text = "\n".join(text for _, texts in found for text in texts)
        return Shown(replace(frame, content=written(content)).joined(), text or None, bool(text))


def without_repr(data: Any) -> bool:
    """Take a widget's ``repr`` out of what displays it, in place; True if one was there.

    It names every trait's value: of an ``Output`` widget the tracebacks that it holds.
    """
    if not isinstance(data, dict) or WIDGET not in data:
        return False
    return data.pop("text/plain", None) is not None


def _cleaned(state: Any) -> tuple[bool, list[str]]:
    """Take errors out of an ``Output`` widget's outputs, in place; whether anything changed, and texts."""
    if not isinstance(state, dict) or not isinstance(state.get("outputs"), (list, tuple)):
        return False, []
    texts, kept, changed = [], [], False
    hidden = {
        "output_type": "error",
        "ename": ERROR_NAME,
        "evalue": "",
        "traceback": [ERROR_TEXT],
    }
    for output in state["outputs"]:
        kind = output.get("output_type") if isinstance(output, dict) else None
        if kind == "error":
            if output.get("traceback") != [ERROR_TEXT]:
                texts.append("\n".join(str(line) for line in output.get("traceback") or []))
            changed |= output != hidden
            kept.append(hidden)
        elif kind == "stream" and output.get("name") != "stdout":
            texts.append(str(output.get("text")))
            changed = True
        else:
            # another Output that is shown in this one, say
            changed |= isinstance(output, dict) and without_repr(output.get("data"))
            kept.append(output)
    state["outputs"] = kept
    return changed, texts


def _name(part: dict[str, Any], name: str) -> str:
    found = part.get(name)
    if not isinstance(found, str) or len(found) > NAME:
        raise RefusedError(f"{name} is missing or no short text")
    return found
