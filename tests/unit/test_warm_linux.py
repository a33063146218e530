"""On which Linux servers can wait in containers."""

from __future__ import annotations

import pytest

from madang_hub.warm.linux import can_wait


@pytest.mark.parametrize(
    ("release", "can"),
    [
        ("5.12.0", True),
        ("5.15.0-105-generic", True),
        ("6.1.0-18-amd64", True),
        ("10.0", True),
        ("5.11.22", False),
        ("5.4.0-150-generic", False),
        ("4.18.0-553.el8.x86_64", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_a_home_can_be_mounted_from_linux_5_12_on(release: str, can: bool) -> None:
    assert can_wait(release) is can
