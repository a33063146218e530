"""Room for files at a real tracking server: refused with a sentence, counted by both workers, freed again."""

import json
import re
import subprocess
import time
from collections.abc import Iterator

import pytest
from support.tracking import Stack, mlflow_python, running, wait_until

SCOPE = ["access:services!service=mlflow"]
CREW = {"X-MLFLOW-WORKSPACE": "g-crew"}
LIMIT, TEAM = 4_000_000, 8_000_000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("room")
    settings = {
        "MADANG_TRACKING_QUOTA_GB": str(LIMIT / 1e9),
        "MADANG_TRACKING_TEAM_QUOTA_GB": str(TEAM / 1e9),
        "MADANG_TRACKING_STATE": str(folder),
    }
    with running(folder, settings) as made:
        yield made


def put(stack: Stack, token: str, name: str, size: int, **headers: str) -> int:
    path = f"api/2.0/mlflow-artifacts/artifacts/{name}"
    reply = stack.call(path, token, method="PUT", data=b"x" * size, headers=headers)
    return reply.status_code


def usage(stack: Stack, token: str, **headers: str) -> dict[str, object]:
    reply = stack.call("madang/usage", token, headers=headers)
    assert reply.ok, reply.text
    found: dict[str, object] = reply.json()
    return found


def stored(stack: Stack, workspace: str) -> int:
    folder = stack.folder / "artifacts" / "workspaces" / workspace
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_mlflows_client_hears_the_sentence_and_gives_up_at_once(stack: Stack) -> None:
    token, _ = stack.new_token("ann", SCOPE)
    started = time.monotonic()
    run = stack.client(
        token,
        """
        import pathlib, time, mlflow
        pathlib.Path("big.bin").write_bytes(b"x" * 30_000_000)
        with mlflow.start_run() as run:
            mlflow.log_text("small", "small.txt")
            begun = time.monotonic()
            try:
                mlflow.log_artifact("big.bin")
            except Exception as error:
                print("SAID", time.monotonic() - begun, error)
            mlflow.log_metric("loss", 0.5)
            mlflow.log_text("small", "after.txt")
        names = [f.path for f in mlflow.MlflowClient().list_artifacts(run.info.run_id)]
        assert names == ["after.txt", "small.txt"], names
        """,
        workspace="u-ann",
        experiment="ann",
    )
    assert run.returncode == 0, run.stderr[-3000:]
    said = re.search(r"^SAID ([\d.]+) (.*)$", run.stdout, re.MULTILINE | re.DOTALL)
    assert said, run.stdout
    assert float(said[1]) < 10, said[0]
    assert "507" in said[2]
    assert "저장 한도(4.00 MB" in said[2]
    assert "this workspace may hold 4.00 MB" in said[2]
    assert time.monotonic() - started < 120
    assert stored(stack, "u-ann") == 10


def test_both_workers_count_together(stack: Stack) -> None:
    token, _ = stack.new_token("ben", SCOPE)
    codes = [put(stack, token, f"many/{number}.bin", 300_000) for number in range(30)]
    assert codes.count(200) == LIMIT // 300_000
    assert set(codes) == {200, 507}
    assert stored(stack, "u-ben") == codes.count(200) * 300_000
    told = usage(stack, token)
    assert told["limit_bytes"] == LIMIT
    assert told["used_bytes"] == stored(stack, "u-ben")
    # what is deleted makes room
    path = "api/2.0/mlflow-artifacts/artifacts/many"
    assert stack.call(path, token, method="DELETE").ok
    wait_until(lambda: put(stack, token, "again.bin", 3_000_000) == 200, "room again", 30)


def test_without_a_length_no_more_comes_than_there_is_room(stack: Stack) -> None:
    token, _ = stack.new_token("mia", SCOPE)

    def chunks(count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield b"x" * 1_000_000

    path = "api/2.0/mlflow-artifacts/artifacts/chunked.bin"
    reply = stack.call(path, token, method="PUT", data=chunks(40))
    assert reply.status_code == 507, reply.text
    assert stored(stack, "u-mia") == 0


def test_a_team_has_a_limit_of_its_own(stack: Stack) -> None:
    token, _ = stack.new_token("dan", SCOPE)
    assert put(stack, token, "a.bin", 6_000_000) == 507
    assert put(stack, token, "a.bin", 6_000_000, **CREW) == 200
    assert put(stack, token, "b.bin", 6_000_000, **CREW) == 507
    told = usage(stack, token, **CREW)
    assert told == {**told, "workspace": "g-crew", "used_bytes": 6_000_000, "limit_bytes": TEAM}
    # not another's
    assert (
        stack.call("madang/usage", token, headers={"X-MLFLOW-WORKSPACE": "u-ann"}).status_code
        == 403
    )
    assert stack.call("madang/usage").status_code == 401


def test_the_operator_sees_all(stack: Stack) -> None:
    done = subprocess.run(
        [mlflow_python(), "-m", "madang_mlflow", "list"],
        env=stack.tracking_env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = {line["workspace"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert {"u-ann", "u-dan", "g-crew"} <= set(lines)
    assert lines["g-crew"]["bytes"] == 6_000_000
    assert lines["g-crew"]["limit"] == TEAM
    assert lines["u-ann"]["runs"] == 1
    assert lines["u-ann"]["deleted"] == 0
    assert abs(lines["u-ann"]["last"] - time.time()) < 600
