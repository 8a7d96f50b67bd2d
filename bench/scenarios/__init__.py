"""What is measured, in the order of the report."""

from typing import Final

from bench.scenarios.admin import ADMIN_MIX
from bench.scenarios.proxies import AUTHORIZE, BATCH
from bench.scenarios.quota_read import QUOTA_READ
from bench.scenarios.reserve_settle import RESERVE, RESERVE_SETTLE, SETTLE
from bench.scenarios.scenario import Scenario
from bench.scenarios.tenants import HOT_TENANT, REFUSED, SPREAD

SCENARIOS: Final[tuple[Scenario, ...]] = (
    QUOTA_READ, RESERVE, SETTLE, RESERVE_SETTLE, AUTHORIZE, BATCH, HOT_TENANT, SPREAD, REFUSED, ADMIN_MIX,
)  # fmt: skip

__all__ = ["AUTHORIZE", "QUOTA_READ", "REFUSED", "RESERVE", "RESERVE_SETTLE", "SCENARIOS", "SETTLE"]
