"""The guard's script: its rules stay where they are, and its heartbeat means that they hold."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import missing
from support.deployment import wait_for

from .conftest import Guard, Server, now

pytestmark = pytest.mark.engine


def rules(family: str = "iptables") -> list[str]:
    """The machine's rules, by the same program that the guard uses."""
    for name in (f"{family}-nft", family):
        if shutil.which(name):
            return subprocess.run(
                [name, "-S"], capture_output=True, text=True, check=True
            ).stdout.splitlines()
    raise AssertionError("no iptables")


def change(*words: str) -> None:
    name = "iptables-nft" if shutil.which("iptables-nft") else "iptables"
    subprocess.run([name, "-w", "5", *words], check=True, capture_output=True)


def ours(guard: Guard) -> list[str]:
    return [r for r in rules() if f"MADANG-INPUT-{guard.prefix}" in r or f"{guard.prefix}+" in r]


@pytest.fixture
def second(engine: object) -> Iterator[Guard]:
    """Another installation's guard."""
    if os.geteuid() != 0:
        missing("the account root, for firewall rules,")
    made = Guard(Path(tempfile.mkdtemp(prefix="madang-guard-")), "quay", 8123)
    made.start()
    yield made
    made.remove()
    shutil.rmtree(made.folder)


def before_others(chain: str, listing: list[str]) -> list[str]:
    """The rules of ``chain`` up to the first that is neither ours nor another installation's."""
    inside = [r for r in listing if r.startswith(f"-A {chain} ")]
    return list(itertools.takewhile(lambda rule: " -j MADANG-" in rule, inside))


def test_hooked_first_and_in_both_families(second: Guard) -> None:
    through = f"MADANG-FORWARD-{second.prefix}"
    for family in ("iptables", "ip6tables"):
        listing = rules(family)
        assert f"-A INPUT -i {second.prefix}+ -j MADANG-INPUT-{second.prefix}" in before_others(
            "INPUT", listing
        )
        chain = "DOCKER-USER" if "-N DOCKER-USER" in listing else "FORWARD"
        for way in ("-i", "-o"):
            assert f"-A {chain} {way} {second.prefix}+ -j {through}" in before_others(
                chain, listing
            )
            assert f"-A FORWARD {way} {second.prefix}+ -j {through}" in listing


@pytest.mark.parametrize(
    "tampering",
    [
        ["-D", "INPUT", "-i", "quay+", "-j", "MADANG-INPUT-quay"],
        ["-F", "MADANG-INPUT-quay"],
        ["-I", "MADANG-INPUT-quay", "1", "-j", "ACCEPT"],
        ["-I", "INPUT", "1", "-i", "quay+", "-j", "ACCEPT"],
        ["-F", "DOCKER-USER"],
        ["-D", "FORWARD", "-i", "quay+", "-j", "MADANG-FORWARD-quay"],
        ["-D", "MADANG-FORWARD-quay", "-d", "169.254.0.0/16", "-j", "DROP"],
    ],
)
def test_changed_rules_are_put_back(second: Guard, tampering: list[str]) -> None:
    def effective() -> list[str]:
        listing = rules()
        hooks = [r for r in listing if "quay+" in r and " -j MADANG-" in r and "-quay " not in r]
        first = [r for c in ("INPUT", "DOCKER-USER") for r in before_others(c, listing)]
        return [
            *sorted(hooks),
            *sorted(r for r in first if "quay" in r),
            *(r for r in listing if r.startswith("-A MADANG-") and "-quay " in r),
        ]

    before = effective()
    change(*tampering)
    try:
        wait_for(lambda: effective() == before, "the rules to be put back", 20)
        assert "putting them back" in second.log
    finally:
        if tampering[:2] == ["-I", "INPUT"]:
            change("-D", "INPUT", *tampering[3:])


def test_a_second_start_changes_nothing(second: Guard) -> None:
    before = rules()
    second.stop()
    second.file.unlink(missing_ok=True)
    second.start()
    assert [r for r in rules() if "quay" in r] == [r for r in before if "quay" in r]


def test_two_installations_do_not_fight(second: Guard, guard: Guard) -> None:
    beats = (second.time, guard.time)
    wait_for(lambda: second.time > beats[0] + 2 and guard.time > beats[1] + 2, "heartbeats", 20)
    assert "putting them back" not in second.log


@pytest.fixture
def link() -> Iterator[str]:
    """An interface of the machine that is no bridge of ours, though its name is like one's."""
    name, peer = "mdz0", "madang-peer"

    def link(*words: str) -> None:
        subprocess.run(["ip", "link", *words], check=True, capture_output=True)

    link("add", name, "type", "veth", "peer", "name", peer)
    yield name
    link("del", name)


@pytest.mark.parametrize(
    ("prefix", "met"),
    [
        ("quaya", "the prefix 'quay' of another installation"),
        ("qu", "the prefix 'quay' of another installation"),
        ("mdz", "the interface mdz0 of this machine"),
        ("lo", "the interface lo of this machine"),
    ],
)
def test_a_prefix_that_meets_other_names_is_refused(
    second: Guard, link: str, tmp_path: Path, prefix: str, met: str
) -> None:
    other = Guard(tmp_path, prefix, 8124)
    try:
        done = other.call(check=False, timeout=20)
        assert (done.returncode, done.stdout) == (2, "")
        assert met in done.stderr
        assert not any(f"MADANG-INPUT-{prefix} " in f"{rule} " for rule in rules())
    finally:
        other.remove()


def test_the_end_takes_everything_away(second: Guard) -> None:
    assert ours(second)
    second.stop()
    assert ours(second) == []
    assert not second.file.exists()


def test_rules_outlive_the_guard_while_servers_run(alice: Server, guard: Guard) -> None:
    guard.stop()
    try:
        assert ours(guard)
        assert not guard.file.exists()
        assert guard.call("check", check=False).returncode == 1
    finally:
        guard.start()


def test_the_heartbeat(second: Guard) -> None:
    assert abs(now() - second.time) < 10
    assert second.call("check", check=False).returncode == 0
    second.stop()
    second.file.write_text(f'{{"time": {int(now()) - 61}, "rules": ""}}\n')
    assert second.call("check", check=False).returncode == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MADANG_PORT", "http"), ("MADANG_PORT", "0"), ("MADANG_PORT", "70000"),
        ("MADANG_BRIDGE_PREFIX", "x"), ("MADANG_BRIDGE_PREFIX", "md;id"),
        ("MADANG_ALLOW_NETWORKS", "10.0.0.0/33"), ("MADANG_ALLOW_NETWORKS", "300.0.0.0/8"),
        ("MADANG_ALLOW_NETWORKS", "example.org"), ("MADANG_ALLOW_NETWORKS", "10.0.0.0/8 -j ACCEPT"),
        ("MADANG_GUARD_INTERVAL", "0"),
    ],
)  # fmt: skip
def test_wrong_settings_end_with_a_sentence(tmp_path: Path, name: str, value: str) -> None:
    script = Path(__file__).resolve().parents[2] / "images" / "guard" / "guard"
    done = subprocess.run(
        ["sh", str(script), "rules"],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert name in done.stderr
    assert done.stdout == ""
