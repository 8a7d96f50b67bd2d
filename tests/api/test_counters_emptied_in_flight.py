"""What requests give back that were admitted before an admin emptied the counters that they count in."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.calls import VIRTUAL_KEYS, get, update
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.gateway import admitted, budget, create_key, rate_limit, refused, release, settle

MIDNIGHT_MS = NOW_MS - NOW_MS % 86_400_000


def charging(make_client: MakeClient) -> Callable[[int], Any]:
    """Workers at so many seconds, for whom a lease that ends charges what it held."""

    def at(seconds: int) -> Any:
        return make_client(now_ms=NOW_MS + seconds * 1_000, on_lease_expiry="charge")

    return at


@pytest.mark.parametrize("end", ["release", "failed"])
async def test_requests_go_back_into_what_they_were_taken_from_only(make_client: MakeClient, end: str):
    def at(seconds: int) -> Any:
        return make_client(now_ms=NOW_MS + seconds * 1_000)

    async def count(client: httpx.AsyncClient) -> int:
        used: int = (await get(client, VIRTUAL_KEYS, key["id"]))["rate_limit"]["request_current_usage"]
        return used

    async with at(0) as client:
        key = await create_key(client, calendar_aligned=True, rate_limit=rate_limit(requests=2, per="1d"))
        for name in ("a", "b"):
            await admitted(client, key, request_id=name)
    async with at(1) as client:
        # The calendar's window is the same afterwards, and counts nothing.
        for aligned in (False, True):
            await update(client, VIRTUAL_KEYS, key["id"], calendar_aligned=aligned)
        assert await count(client) == 0
    async with at(2) as client:
        for name in ("c", "d"):
            await admitted(client, key, request_id=name)
        for name in ("a", "b"):
            await (release(client, name) if end == "release" else settle(client, name, status="failed"))
        assert await count(client) == 2
        await refused(client, key)
        # What was taken since goes back.
        await release(client, "c")
        assert await count(client) == 1


@pytest.mark.parametrize("cost, charged", [(0.5, 2), (1, 2), (1.5, 2.5)])
async def test_what_an_ended_lease_charged_is_not_taken_out_of_a_counter_that_was_emptied_since(
    make_client: MakeClient, cost: float, charged: float
):
    at = charging(make_client)
    async with at(0) as client:
        key = await create_key(client, budgets=[budget(10)])
        await admitted(client, key, request_id="late", cost=1, ttl="10s")
    async with at(20) as client:
        await admitted(client, key, request_id="now", cost=2)
        assert (await get(client, VIRTUAL_KEYS, key["id"]))["budgets"][0]["current_usage"] == 1
    async with at(21) as client:
        await update(client, VIRTUAL_KEYS, key["id"], reset_budget_usage=True)
    async with at(22) as client:
        await settle(client, "now", cost=2)
        answer = await settle(client, "late", cost=cost)
        assert (answer["cost"], answer["limits"][0]["usage"], answer["limits"][0]["reserved"]) == (cost, charged, 0)


@pytest.mark.parametrize("cost, charged", [(None, 0), (0.5, 0), (1.5, 0.5)])
async def test_what_an_ended_lease_would_have_charged_before_is_gone_too_when_nobody_had_written_it_down(
    make_client: MakeClient, cost: float | None, charged: float
):
    at = charging(make_client)
    async with at(0) as client:
        key = await create_key(client, budgets=[budget(10)])
        await admitted(client, key, request_id="late", cost=1, ttl="10s")
    async with at(20) as client:
        # Before any sweep, or any call for this key.
        await update(client, VIRTUAL_KEYS, key["id"], reset_budget_usage=True)
    async with at(21) as client:
        if cost is not None:
            await settle(client, "late", cost=cost)
        await release(client, (await admitted(client, key, cost=1))["reservation_id"])
        shown = (await get(client, VIRTUAL_KEYS, key["id"]))["budgets"][0]
        assert (shown["current_usage"], shown["reserved"]) == (charged, 0)


@pytest.mark.parametrize("written_down", [True, False])
@pytest.mark.parametrize("changes", [{"reset_duration": "1d"}, {"reset_duration": "1M"}, {"calendar_aligned": True}])
async def test_what_an_ended_lease_charged_in_a_window_that_is_over_does_not_come_back_in_another_one(
    make_client: MakeClient, changes: dict[str, Any], written_down: bool
):
    at = charging(make_client)
    async with at(0) as client:
        key = await create_key(client, budgets=[budget(10, "1h")])
        await admitted(client, key, request_id="late", cost=1, ttl="10s")
    if written_down:
        async with at(20) as client:
            await release(client, (await admitted(client, key, cost=1))["reservation_id"])
    async with at(7_200) as client:
        one = {"id": key["budgets"][0]["id"], **budget(10, "1h"), **changes}
        aligned = one.pop("calendar_aligned", False)
        await update(client, VIRTUAL_KEYS, key["id"], budgets=[one], calendar_aligned=aligned)
    async with at(7_201) as client:
        await release(client, (await admitted(client, key, cost=1))["reservation_id"])
        shown = (await get(client, VIRTUAL_KEYS, key["id"]))["budgets"][0]
        assert (shown["current_usage"], shown["reserved"]) == (0, 0)


async def test_what_an_ended_lease_charges_in_the_calendars_window_of_now_stays_when_that_ceases(make_client: MakeClient):
    """Nobody had written down that the window before it was over, nor that the lease had ended in the new one."""

    def at(seconds: int) -> Any:
        return make_client(now_ms=MIDNIGHT_MS + seconds * 1_000, on_lease_expiry="charge")

    async with at(-20) as client:
        key = await create_key(client, budgets=[budget(10)], calendar_aligned=True)
        await admitted(client, key, cost=1, ttl="30s")
    async with at(15) as client:
        await update(client, VIRTUAL_KEYS, key["id"], calendar_aligned=False)
    async with at(16) as client:
        await release(client, (await admitted(client, key, cost=1))["reservation_id"])
        shown = (await get(client, VIRTUAL_KEYS, key["id"]))["budgets"][0]
        assert (shown["current_usage"], shown["reserved"]) == (1, 0)
