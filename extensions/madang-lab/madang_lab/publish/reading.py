"""Which files a notebook's code names. Rules only; nothing is run.

It sees texts in the code, not what a program puts together: good for a hint, not for a promise. ``surely`` is
a text that a function for reading takes; any other is only a path when there is something in that place.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

READERS = frozenset(
    {
        "open", "read_csv", "read_excel", "read_json", "read_parquet", "read_table", "read_pickle",
        "read_feather", "read_hdf", "read_html", "read_xml", "read_fwf", "read_file", "load", "loadtxt",
        "genfromtxt", "fromfile", "imread", "from_file", "load_model", "load_state_dict", "scan_csv",
        "scan_parquet", "dcmread", "rdrecord", "read_edf",
    }
)  # fmt: skip
"""Functions whose first text is a file's name."""
LONGEST = 400
_QUOTED = re.compile(r"""(['"])((?:(?!\1)[^\\\n])+)\1""")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a notebook: its number (all are counted, from 1), kind and text, and what it printed."""

    number: int
    kind: str
    source: str
    printed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """That a cell's code names a file."""

    path: str
    cell: int
    line: int
    surely: bool


def cells(notebook: Any) -> list[Cell]:
    """The cells of a notebook's JSON.

    Raises:
        ValueError: it is no notebook of format 4.
    """
    found = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(found, list) or notebook.get("nbformat") != 4:
        raise ValueError("no notebook of format 4")
    return [
        Cell(
            number,
            str(cell.get("cell_type")),
            _joined(cell.get("source")),
            tuple(_printed(cell.get("outputs"))),
        )
        for number, cell in enumerate(found, start=1)
        if isinstance(cell, dict)
    ]


def reads(of: list[Cell]) -> list[Read]:
    """The files that the code of these cells names, in their order."""
    found: list[Read] = []
    for cell in of:
        if cell.kind == "code":
            found += _reads(cell)
    return found


def _reads(cell: Cell) -> Iterator[Read]:
    lines, code = cell.source.split("\n"), []
    if lines[0].startswith("%%") and not lines[0].startswith(("%%time", "%%capture", "%%prun")):
        lines, code = [], [""] * len(lines)  # another language
    for number, line in enumerate(lines, start=1):
        magic = line.lstrip()[:1] in ("!", "%")
        code.append("" if magic else line)
        if magic:
            yield from _words(line, cell.number, number)
    text = "\n".join(code)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        for number, line in enumerate(code, start=1):
            for match in _QUOTED.finditer(line):
                if _is_path(match[2]):
                    yield Read(match[2], cell.number, number, surely=False)
        return
    sure = {id(text) for text in _arguments(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            surely = id(node) in sure
            if _is_path(node.value, surely=surely):
                yield Read(node.value, cell.number, node.lineno, surely)


def _arguments(tree: ast.AST) -> Iterator[ast.AST]:
    """The texts that functions for reading take first, and do not write."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        more = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode")]
        modes = [m.value for m in more if isinstance(m, ast.Constant) and isinstance(m.value, str)]
        if name in READERS and not (name == "open" and any(set(m) & set("wxa") for m in modes)):
            yield node.args[0]


def _words(line: str, cell: int, number: int) -> Iterator[Read]:
    for word in re.split(r"[\s;|&<>=()\"']+", line.lstrip("!% \t")):
        if word.startswith(("/", "~/", "../")) and _is_path(word):
            yield Read(word, cell, number, surely=False)


def _is_path(text: str, *, surely: bool = False) -> bool:
    """Whether a text may be one: short, of one line, and with a slash or a dot unless it surely is."""
    if not 0 < len(text) <= LONGEST or "\n" in text or "\0" in text:
        return False
    local = text.startswith("file://") or not _ELSEWHERE.match(text)
    if not local:
        return False
    if surely:
        return "." in text or "/" in text
    return (
        text.startswith(("/", "~/", "../", "./", "file://"))
        or text == ".."
        or "/" in text
        or (re.search(r"\.[A-Za-z0-9]{1,8}$", text) is not None)
    )


def _joined(text: object) -> str:
    if isinstance(text, list):
        return "".join(str(part) for part in text)
    return text if isinstance(text, str) else ""


def _printed(outputs: object) -> Iterator[str]:
    for output in outputs if isinstance(outputs, list) else ():
        if not isinstance(output, dict):
            continue
        data = output.get("data")
        shown = data.items() if isinstance(data, dict) else ()
        # pictures are no text; what a library draws from is
        texts = [text for kind, text in shown if not str(kind).startswith("image/")]
        for text in (output.get("text"), *texts, output.get("traceback")):
            if text:
                yield (
                    json.dumps(text, ensure_ascii=False)
                    if isinstance(text, dict)
                    else _joined(text)
                )
