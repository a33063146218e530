"""The lessons are there, whole and for reading only, and one runs to its end without a network."""

import importlib
import json
import os
from pathlib import Path
from typing import Any

nbformat: Any = importlib.import_module("nbformat")
client_of: Any = importlib.import_module("nbclient").NotebookClient
learn: Any = importlib.import_module("madang_learn")

folder = Path(os.environ["MADANG_LESSONS"])
assert folder == Path("/opt/madang/lessons")
manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
assert manifest["lessons"]
for lesson in manifest["lessons"]:
    for language, name in lesson["file"].items():
        for edition in (".", "solutions"):
            file = folder / edition / language / name
            nbformat.validate(nbformat.read(file, as_version=4))
            assert not os.access(file, os.W_OK)
    assert len(learn.lesson(lesson["id"])) == len(lesson["checks"])
assert not os.access(folder, os.W_OK)

first = manifest["lessons"][0]
book = nbformat.read(folder / "solutions" / "ko" / first["file"]["ko"], as_version=4)
client_of(book, timeout=120, kernel_name="python3").execute(cwd=str(Path.home()))
said = json.dumps([cell.get("outputs") for cell in book.cells], ensure_ascii=False)
assert all(f"✅ {check}" in said for check in first["checks"]), said
progress = Path.home() / ".madang" / "lessons" / "progress.json"
assert sorted(json.loads(progress.read_text("utf-8"))["passed"]) == first["checks"]
