"""Small bundles for unit tests."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from madang_hub.bundle.archive import Writer, new_file
from madang_hub.bundle.engine import machine
from madang_hub.bundle.loading import python_version
from madang_hub.bundle.manifest import IMAGES, SOURCE, TOP, WHEELS, BundledImage, Entry, Manifest

FILES = {
    f"{TOP}/load/__main__.py": b"print('load')\n",
    f"{SOURCE}images/images.toml": b'release = "0.1.0"\n',
    f"{SOURCE}docs/howto/offline.md": "오프라인\n".encode(),
    f"{SOURCE}madang_hub/empty.py": b"",
    f"{WHEELS}uv-1-py3-none-any.whl": b"wheel",
    IMAGES[1]: bytes(range(256)) * 5000,
}
IMAGE = BundledImage("hub", "madang/hub:0.1.0", "sha256:1", '["sha256:2"]', "a" * 64, 100)


def manifest(entries: list[Entry], **values: object) -> Manifest:
    """A manifest that fits this machine; ``values`` replace its own."""
    plain = Manifest(
        release="0.1.0",
        revision="c" * 40,
        changed=False,
        created="2026-03-02T00:00:00Z",
        machine=machine(),
        python=(python_version(),),
        images=(replace(IMAGE, name="debian", inputs=""), IMAGE),
        left_out=(),
        files=tuple(entries),
    )
    return replace(plain, **values)  # type: ignore[arg-type]  # any of its fields


def bundle(path: Path, files: Mapping[str, bytes] = FILES, **values: object) -> Path:
    """A bundle of ``files`` at ``path``; ``values`` replace those of the manifest."""
    with new_file(path) as file:
        writer = Writer(file)
        for name, data in files.items():
            writer.add(name, io.BytesIO(data), executable=name.endswith("__main__.py"))
        writer.finish(manifest(writer.entries, **values))
    return path
