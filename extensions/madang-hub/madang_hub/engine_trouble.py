"""What a person reads, and an operator, where engine or guard are in no state to have a container made."""

from __future__ import annotations

import time
from pathlib import Path

from docker.errors import APIError
from traitlets import Instance, Unicode

from madang_hub.isolation import heartbeat
from madang_hub.isolation.networks import PoolExhausted
from madang_hub.isolation.pool import NetworkPool
from madang_hub.options import StartRefused
from madang_hub.user_server import UserServer


class EngineTrouble(UserServer):
    """A user server that the engine makes and the guard keeps apart."""

    networks = Instance(NetworkPool, help="The networks that servers get, one each. Required.").tag(
        config=True
    )
    guard_heartbeat = Unicode(
        help="File that the guard renews while its firewall rules hold. Older than 60 seconds, or "
        "missing: no server is started. Required.",
    ).tag(config=True)

    def _check_guard(self) -> None:
        if cause := heartbeat.silence(Path(self.guard_heartbeat), time.time()):
            raise self._refusal(
                "The part that keeps servers apart is not running, so none is started. Tell the operator.",
                "guard",
                f"guard: {cause}; see 'madang doctor'",
            )

    def _explained(self, error: Exception) -> StartRefused:
        """The refusal of a start for which the engine's ``error`` is the reason."""
        if isinstance(error, PoolExhausted):
            return self._refusal(
                "All places on this machine are taken. Try again when others have stopped.",
                "networks",
                str(error),
            )
        if isinstance(error, APIError) and "no space left" in str(error).lower():
            return self._refusal(
                "The machine's disk is full, so no server can be started. Tell the operator; your files "
                "are safe.",
                "disk-full",
                str(error),
            )
        if isinstance(error, APIError) and self.not_given(str(error)):
            return self.no_accelerator(str(error))
        # the gateway answers 502 and 503 when the engine behind it doesn't
        if isinstance(error, APIError) and error.status_code not in (None, 502, 503):
            hint = ""
            if "overlap" in str(error).lower():
                hint = f"; MADANG_NETWORK {self.networks.range} is not free here, see 'make doctor'"
            return self._refusal(
                "The container engine refused to start your server. Tell the operator the time.",
                "engine-refused",
                f"engine: {error}{hint}",
            )
        return self._refusal(
            "The container engine does not answer, so no server can be started now. Running servers go "
            "on; try again in a few minutes.",
            "engine",
            f"engine: {error}",
        )
