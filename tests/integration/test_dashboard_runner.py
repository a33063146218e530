"""The runner of dashboards, attacked: the real program, real kernels, visitors with their own websocket."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import requests
from support.dashboard import (
    BASE,
    Runner,
    Visit,
    children_of,
    named,
    notebook,
    program,
    running,
    wait_until_gone,
)
from support.deployment import wait_for

from madang_dashboard import limits
from madang_dashboard.messages import ERROR_TEXT
from madang_dashboard.visits import ENDED_CODE

CELLS = [
    "secret_of_the_author = 41\nimport os, subprocess, sys, time\nimport ipywidgets as w",
    "slider = w.IntSlider(description='slider'); answer = w.Text(description='answer')\n"
    "blob = w.Image(description='blob') if hasattr(w.Image, 'description') else w.Image()\n"
    "button = w.Button(description='button')\n"
    "display(slider, answer, button)",
    "out = w.Output()\nwith out:\n    raise KeyError('output-secret-line')",
    "display(out)",
    """
def act(change):
    value = change['new']
    if value == 13:
        raise ValueError('callback-secret-line')
    if value == 14:
        print('stderr-secret-line', file=sys.stderr, flush=True)
    if value == 15:
        blob.value = bytes(70 * 2**20)
    if value == 16:
        os._exit(1)
    if value == 17:
        answer.value = 'busy'
        time.sleep(2)  # a callback that takes its time: the page must hear of both
    answer.value = f'got {value} ' + os.environ.get('HOSTILE', '')
def press(_):
    raise LookupError('button-secret-line')
slider.observe(act, 'value')
button.on_click(press)
""",
    "child = subprocess.Popen(['sleep', '600'])",
    "print('variables', sorted(os.environ), 'secret' in str(os.environ), os.environ['QUERY_STRING'])",
    "print('oom', open('/proc/self/oom_score_adj').read())",
    """
def may_read(name):
    try:
        with open(f'/proc/{os.getppid()}/{name}', 'rb') as file:
            file.read(1)
    except OSError as error:
        return type(error).__name__
    return 'readable'
print('runner', may_read('environ'), may_read('mem'))
""",
    "print('sum', secret_of_the_author + 1)",
    "raise RuntimeError('cell-secret-line')",
]
LEFT_S = 2.0


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A runner with what a snapshot should not be able to do lying in it."""
    folder = tmp_path_factory.mktemp("runner")
    snapshot = folder / "snapshot"
    snapshot.mkdir()
    (snapshot / "voila.py").write_text("open('../configured', 'w')")
    (snapshot / "data.csv").write_text("file-secret-line")
    with running(folder, CELLS, LEFT_S=str(LEFT_S), SEATS="4") as found:
        yield found
        assert not (folder / "configured").exists()


@pytest.fixture(scope="module")
def visit(runner: Runner) -> Visit:
    """One visit that most tests share; its page's socket comes and goes within the time it may be away."""
    return runner.visit("?city=busan")


class TestDoor:
    def test_without_the_key_every_address_is_the_same_nothing(
        self, runner: Runner, visit: Visit
    ) -> None:
        seen = set()
        for path in ("/state", "/", f"{visit.path}/", visit.channels, "/visit/" + "a" * 20 + "/"):
            for method in ("GET", "POST", "DELETE"):
                for headers in ({}, {"X-Madang-Key": "a" * 43}, {"X-Madang-Key": runner.key[:-1]}):
                    found = requests.request(method, runner.url + path, headers=headers, timeout=30)
                    shape = {k: v for k, v in found.headers.items() if k != "Date"}
                    seen.add((found.status_code, found.content, str(shape)))
        assert len(seen) == 1
        assert seen.pop()[:2] == (404, b"")

    def test_there_are_only_these_addresses(self, runner: Runner, tmp_path: Path) -> None:
        (tmp_path / "a.ipynb").write_text(notebook([]))
        variables = {"ROOT": str(tmp_path), "NOTEBOOK": "a.ipynb"}
        environ = {f"MADANG_DASHBOARD_{name}": value for name, value in variables.items()}
        command = [*program(), "routes"]
        listed = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        short = {
            re.sub(r"\(\?P<(\w+)>.*?\)(?=/|$)", r"<\1>", line) for line in listed.stdout.split("\n")
        }
        assert short - {""} == {
            "StateHandler /state",
            "EndHandler /visit/<visit>",
            "PageHandler /visit/<visit>/",
            "ModelHandler /visit/<visit>/api/kernels/<kernel_id>",
            "SocketHandler /visit/<visit>/api/kernels/<kernel_id>/channels",
            "LeaveHandler /visit/<visit>/voila/api/shutdown/<kernel_id>",
            "TemplateFileHandler /visit/<visit>/voila/templates/<path>",
            "StaticFileHandler /visit/<visit>/voila/static/<path>",
            "ExtensionFileHandler /visit/<visit>/voila/labextensions/<path>",
            "ThemeFileHandler /visit/<visit>/voila/api/themes/<path>",
        }

    @pytest.mark.parametrize(
        "path",
        [
            "api/contents",
            "api/kernels",
            "api/sessions",
            "api/terminals",
            "api/kernelspecs",
            "login",
            "terminals/websocket/1",
            "files/data.csv",
            "voila/files/data.csv",
            "voila/api/contents",
            "voila/render/앱.ipynb",
            "voila/tree",
            "voila/query/0e2ab3c4-0000-4000-8000-000000000000",
            "voila/execution/0e2ab3c4-0000-4000-8000-000000000000",
            "voila/static/../../../../etc/passwd",
            "voila/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "voila/templates/lab/static/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
            "voila/templates/lab/index.html.j2",
            "voila/labextensions/..%2f..%2f..%2f..%2fetc%2fpasswd",
            "voila/api/themes/..%2f..%2f..%2f..%2fetc%2fpasswd",
        ],
    )
    def test_nothing_else_of_jupyter_answers(self, visit: Visit, path: str) -> None:
        for prefix in (f"{visit.path}/", "/"):
            found = visit.runner.ask("GET", prefix + path)
            assert found.status_code in (403, 404), (prefix, found.status_code)
            assert "root:" not in found.text
            assert "secret" not in found.text

    def test_the_key_is_in_no_environment(self, runner: Runner) -> None:
        for pid in [runner.pid, *runner.kernels()]:
            assert runner.key.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
            assert b"hub-secret" not in Path(f"/proc/{pid}/environ").read_bytes()

    def test_it_does_not_start_where_the_key_can_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "a.ipynb").write_text(notebook([]))
        key = "k" * 43
        environ = {
            "MADANG_DASHBOARD_KEY": key,
            "MADANG_DASHBOARD_ROOT": str(tmp_path),
            "MADANG_DASHBOARD_NOTEBOOK": "a.ipynb",
            "MADANG_DASHBOARD_BIND": "127.0.0.1:0",
        }
        # a shell that stays, as an init would
        command = ["sh", "-c", f"{' '.join(program())}; exit $?"]
        ended = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 2
        assert "first process" in ended.stderr
        assert key not in ended.stderr


class TestPage:
    def test_it_shows_results_and_no_line_of_the_author(self, visit: Visit) -> None:
        assert visit.page.status_code == 200
        assert "sum 42" in visit.page.text
        assert "secret_of_the_author" not in visit.page.text
        assert "cell-secret-line" not in visit.page.text
        assert "output-secret-line" not in visit.page.text
        assert "RuntimeError" not in visit.page.text
        assert ERROR_TEXT in visit.page.text

    def test_it_loads_from_its_own_path_and_nowhere_else(self, visit: Visit) -> None:
        assert f'"baseUrl": "{BASE}"' in visit.page.text
        assert "madang-base-of-the-visit" not in visit.page.text
        loaded = re.findall(r'<(?:script|link)[^>]*(?:src|href)="([^"]+)"', visit.page.text)
        assert len(loaded) > 1
        for address in loaded:
            assert address.startswith((BASE, "data:")), address
            if address.startswith(BASE):
                found = visit.runner.ask("GET", f"{visit.path}/{address.removeprefix(BASE)}")
                assert found.status_code == 200, address

    def test_it_is_in_a_sandbox_that_shares_no_origin(self, visit: Visit) -> None:
        static = visit.runner.ask("GET", f"{visit.path}/voila/static/voila.js")
        missing = visit.runner.ask("GET", f"{visit.path}/voila/static/none.js")
        assert static.status_code == 200
        assert missing.status_code in (403, 404)
        for answer in (visit.page, static, missing):
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("sandbox allow-scripts")
            assert "allow-same-origin" not in policy
            assert "popups" not in policy
            assert "top-navigation" not in policy
            assert "Set-Cookie" not in answer.headers
            assert "Server" not in answer.headers

    def test_it_is_served_once(self, visit: Visit) -> None:
        again = visit.runner.ask("GET", f"{visit.path}/", headers={"Accept-Language": "ko"})
        assert again.status_code == 410
        assert "이미 사용" in again.text
        assert again.headers["X-Madang-State"] == "gone"

    def test_a_base_that_is_no_path_is_refused(self, runner: Runner) -> None:
        for base in ('/a"><script>/', "//evil.example/", "https://evil.example/", "/a/../"):
            found = runner.ask("GET", "/visit/" + "b" * 20 + "/", headers={"X-Madang-Base": base})
            assert found.status_code == 400, base
        assert "b" * 20 not in runner.visits()

    def test_the_kernel_has_few_variables(self, visit: Visit) -> None:
        said = re.search(r"variables \[(.*)\] (\w+) (\S+)", visit.page.text)
        assert said
        names = set(re.findall(r"[A-Z_]{2,}", said[1]))
        assert {"PATH", "QUERY_STRING", "VOILA_REQUEST_URL"} <= names
        assert not {name for name in names if name.startswith(("MADANG", "JUPYTERHUB", "SOME"))}
        assert said[2] == "False"
        assert said[3] == "city=busan"

    def test_the_kernel_goes_first_when_memory_runs_out(self, visit: Visit) -> None:
        assert "oom 500" in visit.page.text
        assert Path(f"/proc/{visit.runner.pid}/oom_score_adj").read_text().strip() == "0"

    def test_the_kernel_cannot_look_into_the_runner(self, visit: Visit) -> None:
        assert "runner PermissionError PermissionError" in visit.page.text

    def test_the_author_reads_cell_and_traceback(self, visit: Visit) -> None:
        errors = [e for e in visit.runner.state()["errors"] if e["visit"] == visit.name]
        found = next(e for e in errors if e["where"] == "cell" and "cell-secret-line" in e["text"])
        assert found["cell"] == len(CELLS) - 1
        assert "RuntimeError" in found["text"]
        assert "raise" in found["source"]


class TestSocket:
    async def test_a_slider_moves_and_the_answer_comes(self, visit: Visit) -> None:
        async with visit.socket() as socket:
            widgets = await socket.widgets()
            await socket.update(named(widgets, "slider"), value=5)
            assert await socket.answered(named(widgets, "answer"), "value") == "got 5 "

    async def test_only_with_the_subprotocol_and_from_the_sandbox(self, visit: Visit) -> None:
        assert await visit.refused(protocols=()) == 400
        assert await visit.refused(protocols=("other",)) == 400
        assert await visit.refused(Origin=visit.runner.url) == 403
        assert await visit.refused(Origin="") == 403
        assert await visit.refused(Origin="https://evil.example") == 403

    async def test_code_and_other_orders_do_not_reach_the_kernel(
        self, visit: Visit, tmp_path: Path
    ) -> None:
        mark = tmp_path / "ran"
        code = f"open({str(mark)!r}, 'w'); import os; os.environ['HOSTILE'] = 'yes'"
        run = {"code": code, "silent": False, "store_history": False, "user_expressions": {}}
        async with visit.socket() as socket:
            widgets = await socket.widgets()
            slider, answer = named(widgets, "slider"), named(widgets, "answer")
            for channel in ("shell", "control", "stdin", "iopub"):
                await socket.send("execute_request", run, channel)
                await socket.send("shutdown_request", {"restart": False}, channel)
                await socket.send("interrupt_request", {}, channel)
                await socket.send("input_reply", {"value": "x"}, channel)
                await socket.send("debug_request", {"command": "evaluate"}, channel)
                await socket.send("create_subshell_request", {}, channel)
            for kind in ("complete_request", "inspect_request", "history_request"):
                await socket.send(kind, {"code": "secret_of", "cursor_pos": 9, "detail_level": 1})
            state = {"_model_module": "@jupyter-widgets/controls", "_model_name": "IntSliderModel"}
            for target in ("jupyter.widget", "matplotlib", "hostile"):
                content = {"comm_id": "a" * 32, "target_name": target, "data": {"state": state}}
                await socket.send("comm_open", content, metadata={"version": "2.1.0"})
            await socket.update("a" * 32, value=1)
            await socket.wire.send_bytes(b"\xff" * 400)
            await socket.wire.send_str('{"header": {"msg_type": "execute_request"}}')
            # what comes after them is answered, by the same kernel
            await socket.update(slider, value=6)
            assert await socket.answered(answer, "value") == "got 6 "
            assert "a" * 32 not in await socket.widgets()
        assert not mark.exists()
        assert not any(b"secret_of_the_author" in message for message in socket.seen)

    async def test_errors_come_without_a_line(self, visit: Visit) -> None:
        async with visit.socket() as socket:
            widgets = await socket.widgets()
            slider, answer = named(widgets, "slider"), named(widgets, "answer")
            await socket.update(slider, value=13)
            pressed = {"method": "custom", "content": {"event": "click"}}
            button = named(widgets, "button")
            await socket.send("comm_msg", {"comm_id": button, "data": pressed})
            content = await socket.until(lambda kind, _: kind == "error")
            assert content == {"ename": "Error", "evalue": "", "traceback": [ERROR_TEXT]}
            await socket.update(slider, value=14)
            assert await socket.answered(answer, "value") == "got 14 "
            outputs = [row["outputs"] for row in widgets.values() if row.get("outputs")]
            assert [o["traceback"] for row in outputs for o in row] == [[ERROR_TEXT]]
        everything = b"".join(socket.seen)
        assert b"secret-line" not in everything
        texts = {e["where"]: e["text"] for e in visit.runner.state()["errors"]}
        assert "stderr-secret-line" in texts["output"]
        everything_said = str(visit.runner.state()["errors"])
        assert "button-secret-line" in everything_said
        assert "callback-secret-line" in everything_said
        assert "output-secret-line" in everything_said

    async def test_an_answer_beyond_all_measure_is_left_out(self, visit: Visit) -> None:
        async with visit.socket() as socket:
            widgets = await socket.widgets()
            await socket.update(named(widgets, "slider"), value=15)
            assert await socket.answered(named(widgets, "answer"), "value") == "got 15 "
        assert max(len(message) for message in socket.seen) < limits.MIB
        errors = visit.runner.state()["errors"]
        assert any("70 MiB" in error["text"] for error in errors), errors[-1]

    async def test_a_visit_has_few_sockets(self, visit: Visit) -> None:
        async with visit.socket(), visit.socket():
            assert await visit.refused() == 429


def ipython_of(kernel: int) -> Path:
    """The folder that IPython has in this kernel."""
    variables = Path(f"/proc/{kernel}/environ").read_bytes().decode().split("\0")
    found = Path(dict(v.partition("=")[::2] for v in variables)["IPYTHONDIR"])
    assert found.is_dir()
    return found


class TestLife:
    async def test_another_visits_kernel_and_path_are_not_there(
        self, runner: Runner, visit: Visit
    ) -> None:
        other = runner.visit()
        kernels = set(runner.kernels())
        assert other.kernel != visit.kernel
        for path in (visit.path, other.path):
            wrong = other.kernel if path == visit.path else visit.kernel
            channels = f"{path}/api/kernels/{wrong}/channels"
            assert await visit.refused(channels) == 404
            assert runner.ask("GET", f"{path}/api/kernels/{wrong}").status_code == 404
            assert runner.ask("POST", f"{path}/voila/api/shutdown/{wrong}").status_code == 404
        assert set(runner.visits()) >= {visit.name, other.name}
        # its own it may end, as its page does when it is closed
        as_the_page = {"Origin": "null", "Sec-Fetch-Site": "cross-site"}
        leave = f"{other.path}/voila/api/shutdown/{other.kernel}"
        own = runner.ask("POST", leave, headers=as_the_page)
        assert own.status_code == 204
        assert await other.refused() == 404
        assert runner.ask("GET", f"{other.path}/voila/static/voila.js").status_code == 404
        assert runner.ask("GET", f"{other.path}/").status_code == 410
        assert len(kernels) - len(set(runner.kernels())) == 1

    async def test_who_left_leaves_nothing(self, runner: Runner) -> None:
        before = set(runner.kernels())
        gone = runner.visit()
        (kernel,) = set(runner.kernels()) - before
        children = children_of(kernel)
        assert children
        folder = ipython_of(kernel)
        async with gone.socket() as socket:
            await socket.widgets()
        async with gone.socket() as socket:
            # within the time that it may be away
            await socket.widgets()
        wait_until_gone([kernel, *children])
        assert gone.name not in runner.visits()
        assert await gone.refused() == 404
        wait_for(lambda: not folder.exists(), "the end of IPython's folder", 20)

    async def test_a_flood_ends_the_visit_that_sends_it(self, runner: Runner) -> None:
        flooding = runner.visit()
        async with flooding.socket() as socket:
            slider = named(await socket.widgets(), "slider")
            for value in range(1000):
                if socket.wire.closed:
                    break
                await socket.update(slider, value=value % 10)
            assert await socket.closed() == ENDED_CODE
        assert flooding.name not in runner.visits()
        assert any(e["visit"] == flooding.name for e in runner.state()["errors"])

    async def test_a_dead_kernel_is_said(self, runner: Runner) -> None:
        before = set(runner.kernels())
        dying = runner.visit()
        (kernel,) = set(runner.kernels()) - before
        left_over = children_of(kernel)
        assert left_over
        async with dying.socket() as socket:
            await socket.update(named(await socket.widgets(), "slider"), value=16)
            assert await socket.closed() == ENDED_CODE
        # its processes go with it, though it could not end them
        wait_until_gone(left_over)
        assert await dying.refused() == 404
        errors = runner.state()["errors"]
        assert any(e["where"] == "kernel" and e["visit"] == dying.name for e in errors)

    async def test_sockets_that_are_opened_at_once_are_no_more(self, runner: Runner) -> None:
        busy, said = runner.visit(), asyncio.Barrier(8)

        async def status() -> int:
            try:
                async with busy.socket():
                    await said.wait()
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                await said.wait()
                return error.status

        async with busy.socket() as socket:
            widgets = await socket.widgets()
            await socket.update(named(widgets, "slider"), value=17)
            assert await socket.answered(named(widgets, "answer"), "value") == "busy"
            # none of them is open before the kernel answers
            found = await asyncio.gather(*(status() for _ in range(8)))
        assert sorted(found) == [101, *[429] * 7]
        assert runner.ask("DELETE", busy.path).status_code == 204


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A runner with one seat, for visitors who do nothing for 3 s, and a page that takes its time."""
    cells = ["import time, os", "time.sleep(20 if 'slow' in os.environ['QUERY_STRING'] else 0)"]
    with running(tmp_path_factory.mktemp("small"), cells, SEATS="1", IDLE_S="3") as found:
        yield found


class TestSeats:
    def test_full_is_said_and_a_seat_comes_free(self, small: Runner) -> None:
        first = small.visit()
        assert first.page.status_code == 200
        second = small.visit()
        assert second.page.status_code == 503
        assert second.page.headers["X-Madang-State"] == "full"
        assert second.page.headers["Retry-After"]
        assert small.ask("DELETE", first.path).status_code == 204
        assert small.ask("DELETE", first.path).status_code == 404
        assert small.kernels() == []
        # its name was not used up by being told that all is full
        assert small.ask("GET", f"{second.path}/").status_code == 200
        assert small.ask("DELETE", second.path).status_code == 204

    async def test_who_does_nothing_is_asked_to_go(self, small: Runner) -> None:
        idle = small.visit()
        async with idle.socket() as socket:
            assert await socket.closed() == ENDED_CODE
        wait_for(lambda: small.kernels() == [], "the end of the kernel", 20)

    def test_who_does_not_wait_for_the_page_takes_no_seat(self, small: Runner) -> None:
        url = f"{small.url}/visit/{'c' * 20}/?slow"
        headers = {"X-Madang-Key": small.key}
        with pytest.raises(requests.RequestException):
            requests.get(url, headers=headers, timeout=1)
        wait_for(lambda: not small.visits() and not small.kernels(), "a free seat", 20)


def test_a_picture_that_cannot_be_had_keeps_no_page(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"outside-secret")
    texts = ["![그림 하나](../x.png)", "![그림 둘](attachment:none.png)", "마지막 줄"]
    more = [{"cell_type": "markdown", "source": text} for text in texts]
    with running(tmp_path, ["print(6 * 7)"], more) as runner:
        page = runner.visit().page
        assert page.status_code == 200
        for text in ("42", "그림 하나", "그림 둘", "마지막 줄", "</html>"):
            assert text in page.text
        said = [e["text"] for e in runner.state()["errors"] if e["where"] == "page"]
        assert len(said) == 2
        assert "../x.png" in said[0]
        assert "attachment:none.png" in said[1]


def test_a_page_that_cannot_be_written_ends_its_visit(tmp_path: Path) -> None:
    # what the templates do not expect
    more = [{"cell_type": "raw", "source": "x", "metadata": {"raw_mimetype": 5}}]
    with running(tmp_path, ["print(6 * 7)"], more) as runner:
        visit = runner.visit()
        assert "42" in visit.page.text
        assert "<script>window.madangEnded()</script>" in visit.page.text
        assert visit.name not in runner.visits()
        wait_for(lambda: runner.kernels() == [], "the end of the kernel", 20)
        (said,) = runner.state()["errors"]
        assert (said["where"], said["visit"]) == ("page", visit.name)


class TestPrepared:
    def test_a_page_is_ready_before_its_visitor(self, tmp_path: Path) -> None:
        with running(
            tmp_path, ["print('ready')", "print(6 * 7)"], PREPARE="1", SEATS="2"
        ) as runner:

            def started() -> bool:
                # the last thing that happens to a kernel before it counts as prepared
                marks = [Path(f"/proc/{pid}/oom_score_adj") for pid in runner.kernels()]
                return any(mark.read_text().strip() == "500" for mark in marks)

            wait_for(started, "a prepared kernel", 30)
            before = set(runner.kernels())
            visit = runner.visit()
            assert "42" in visit.page.text
            assert f'"baseUrl": "{BASE}"' in visit.page.text
            assert "madang-base-of-the-visit" not in visit.page.text
            assert before <= set(runner.kernels())
            # the prepared kernel takes the other seat
            assert runner.state()["seats"] == 1
            assert runner.visit().page.status_code == 503
            assert runner.ask("DELETE", visit.path).status_code == 204
            wait_until_gone(list(before))

    def test_not_for_a_notebook_that_asks_about_its_visit(self, tmp_path: Path) -> None:
        cells = ["from voila.utils import get_query_string", "print('said', get_query_string())"]
        with running(tmp_path, cells, PREPARE="1") as runner:
            assert runner.state()["prepared"] == 0
            assert "said city=busan" in runner.visit("?city=busan").page.text
