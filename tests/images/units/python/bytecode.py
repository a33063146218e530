"""Every module of /opt/madang is compiled and the compiled file is the one that Python will use."""

import importlib.util
import struct
from pathlib import Path

ROOT = Path("/opt/madang/lib/python3.11/site-packages")
# sources that are data: templates, or written for another Python
UNCOMPILABLE = ("lib2to3", "jedi/third_party", "/templates/", "bad_")


def trouble(source: Path) -> str:
    """What is wrong with the bytecode of ``source``; empty if nothing is."""
    compiled = Path(importlib.util.cache_from_source(str(source)))
    if not compiled.is_file():
        try:
            compile(source.read_bytes(), str(source), "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return ""
        return f"{source}: not compiled"
    head = compiled.read_bytes()[:16]
    if head[:4] != importlib.util.MAGIC_NUMBER:
        return f"{source}: compiled by another Python"
    flags, written, size = struct.unpack("<III", head[4:])
    state = source.stat()
    if flags == 0 and (written, size) != (int(state.st_mtime) & 0xFFFFFFFF, state.st_size):
        return f"{source}: older than its bytecode says"
    return ""


sources = [p for p in ROOT.rglob("*.py") if not any(part in str(p) for part in UNCOMPILABLE)]
assert len(sources) > 500, "this image has no packages"
found = [text for text in map(trouble, sources) if text]
assert not found, f"{len(found)} of {len(sources)}:\n" + "\n".join(found[:20])
