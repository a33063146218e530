"""What the container of a user server may do, beside its memory and CPU limits. Rules only.

Plain values from plain arguments, so that tests and the engine's gateway can hold them against the
isolation rules.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from madang_hub.catalog import Choice
from madang_hub.isolation.networks import NetworkPlan

HOME = "/home/madang"
HUB_HOST = "hub.madang"
"""The host name under which a user container finds the proxy: its own network's gateway."""
SERVER_PORT = 8888
TMP_BYTES = 512 * 2**20


def host_config(plan: NetworkPlan, choice: Choice, home: Path) -> dict[str, Any]:
    """Docker host settings of a user container beside its memory and CPU limits."""
    return {
        "binds": {str(home): {"bind": HOME, "mode": "rw"}},
        "network_mode": plan.name,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": choice.size.pids,
        "memswap_limit": choice.size.memory,
        "read_only": True,
        "tmpfs": {
            "/tmp": f"rw,nosuid,nodev,exec,size={TMP_BYTES},mode=1777",  # noqa: S108  # in the container
            "/run": "rw,nosuid,nodev,noexec,size=16777216,mode=0755",
        },
        "extra_hosts": {HUB_HOST: str(plan.gateway)},
        "init": True,
        # kept until stop() removes it: how it ended (out of memory?) must be seen first
        "auto_remove": False,
        "log_config": {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "2"}},
    }
