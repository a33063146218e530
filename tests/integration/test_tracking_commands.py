"""``madang tracking``, and what doctor says about it, in each mode."""

import json

import pytest
from support.deployment import Deployment

pytestmark = pytest.mark.timeout(900)


def test_the_operator_lists_clears_and_hands_over(madang: Deployment) -> None:
    assert madang.madang("tracking", "list").splitlines()[0].split()[:2] == ["workspace", "runs"]
    assert "nothing to clear" in madang.madang("tracking", "gc")
    assert "write 30d" in madang.madang("tracking", "gc", "--older-than", "soon", check=False)

    for name in ("runs-leaver", "runs-stayer"):
        madang.madang("user", "add", name)
    words = ("tracking", "hand-over", "runs-leaver", "runs-stayer")
    assert "still has access" in madang.madang(*words, check=False)
    madang.madang("user", "remove", "runs-leaver")
    assert "no access" in madang.madang(
        "tracking", "hand-over", "runs-leaver", "nobody", check=False
    )
    folder = madang.data / "mlflow" / "handed-over.json"
    said = madang.madang(*words, "--days", "7")
    assert (
        "For 7 days runs-stayer may look at the runs of runs-leaver (workspace u-runs-leaver)"
        in said
    )
    (grant,) = json.loads(folder.read_text())
    assert (grant["workspace"], grant["to"], grant["title"]) == (
        "u-runs-leaver",
        "runs-stayer",
        "runs-leaver",
    )
    assert "no longer sees" in madang.madang(*words, "--end")
    assert json.loads(folder.read_text()) == []


def test_doctor_says_where_runs_files_lie(madang: Deployment) -> None:
    assert "runs' files lie in the data folder" in madang.madang("doctor", check=False)
