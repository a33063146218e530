"""What a person's code may do here: write the own home and /tmp, and nothing else."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

assert os.getuid() == os.getgid() == 1000
assert os.environ["HOME"] == "/home/madang"
status = dict(
    line.split(":\t", 1)
    for line in Path("/proc/self/status").read_text().splitlines()
    if ":\t" in line
)
for capabilities in ("CapEff", "CapPrm", "CapBnd"):
    assert int(status[capabilities], 16) == 0, capabilities
assert status["NoNewPrivs"] == "1"

for place in (
    "/",
    "/usr/bin",
    "/opt/madang",
    "/opt/madang/lib/python3.11/site-packages",
    "/etc",
    "/var/tmp",
):
    try:
        (Path(place) / "try").write_text("")
    except OSError:
        continue
    raise AssertionError(f"{place} can be written")
for place in ("/tmp", os.environ["HOME"]):
    file = Path(place) / "try"
    file.write_text("#!/bin/sh\nexit 7\n")
    file.chmod(0o755)
    assert subprocess.run([str(file)], check=False).returncode == 7, f"{place}: no programs"
    file.unlink()

for program in ("gcc", "cc", "g++", "make", "ld", "npm", "docker", "sudo"):
    assert shutil.which(program) is None, program
for program in (
    "bash",
    "git",
    "curl",
    "less",
    "vi",
    "jupyter",
    "pip",
    "uv",
    "madang",
    "madang-layer",
):
    assert shutil.which(program), program

listening = socket.socket(socket.AF_UNIX)
listening.bind("/tmp/try.sock")
Path("/tmp/try.sock").unlink()
