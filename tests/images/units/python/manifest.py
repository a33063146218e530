"""The manifest lists exactly the Python packages that are installed, with licence and size."""

import json
from importlib.metadata import distributions
from pathlib import Path

manifest = json.loads(Path("/opt/madang/manifest.json").read_text(encoding="utf-8"))
listed = sorted((row["name"], row["version"]) for row in manifest["python"])
installed = sorted(
    (d.metadata["Name"], d.version)
    for d in distributions(path=["/opt/madang/lib/python3.11/site-packages"])
)
assert listed == installed, set(listed) ^ set(installed)
for row in manifest["python"]:
    assert row["licence"], row
    assert row["bytes"] > 0, row
