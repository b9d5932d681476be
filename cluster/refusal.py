"""A cluster's answer to faults that it cannot inject: no, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from harness.exit_codes import UsageError


class Refusal:
    """Refuses every fault of ``cluster.api.Faults`` and knows no leaders; what a cluster can do, it overrides."""

    reason: ClassVar[str] = "this cluster cannot do that"
    restart_resets_clocks: bool = True

    async def _refuse(self, *_args: Any, **_options: Any) -> NoReturn:
        raise UsageError(self.reason)

    partition = heal = kill = stop = start = pause = resume = skew = drift = step_monotonic = degrade = _refuse
    transfer_pd_leader = transfer_region_leader = split_region = transfer_region = merge_region = _refuse
    shuffle = add_store = remove_store = _refuse

    async def look(self) -> None:
        """Nobody is asked."""

    def leaders(self) -> Mapping[str, str]:
        """Not known."""
        return {}

    def pd_leader(self) -> str | None:
        """Not known."""
        return None

    def region_leader(self, key: bytes) -> str | None:
        """Not known."""
        del key
        return None
