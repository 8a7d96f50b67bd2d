"""/metrics: what happened to requests, by bounded labels."""

from collections.abc import Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service import metrics
from tests.api.conftest import NOW_MS
from tests.api.gateway import admitted, budget, call, create_key, rate_limit, refused, release, settle

MakeClient = Callable[..., httpx.AsyncClient]


async def scrape(client: httpx.AsyncClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    response = await client.get("http://localhost/metrics")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
        if sample.name.startswith(("quotad_", "bifrost_"))
    }


async def test_what_is_counted(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client, make_client(now_ms=NOW_MS + 700_000) as later:
        key = await create_key(client, rate_limit=rate_limit(requests=3), budgets=[budget(1)])
        before = await scrape(client)
        for name in ("settled", "released", "expiring"):
            await admitted(client, key, request_id=name, model="unheard-of")
        await refused(client, key)
        await settle(client, "settled")
        await settle(client, "settled")
        await release(client, "released")
        await release(client, "released")
        await call(client, "settle", reservation_id="unknown")
        await call(client, "settle", reservation_id="u2", virtual_key="sk-bf-unknown", provider="openai", model="gpt-4o")
        await call(client, "settle", key, reservation_id="unreserved", provider="openai", model="gpt-4o", cost=0.5)
        after = await scrape(client)

        def counted(name: str, **labels: str) -> float:
            identity = (name, tuple(sorted(labels.items())))
            return after.get(identity, 0) - before.get(identity, 0)

        assert counted("quotad_decisions_total", result="allow", reason="allow", scope="") == 3
        assert counted("quotad_decisions_total", result="refuse", reason="request_limited", scope="virtual_key") == 1
        outcomes = {
            name: counted("quotad_settlements_total", outcome=name) for name in ("commit", "cancel", "duplicate", "unreserved")
        }
        assert outcomes == {"commit": 1, "cancel": 1, "duplicate": 2, "unreserved": 1}
        assert counted("quotad_uncharged_total", reason="no_price") == 1
        assert counted("quotad_uncharged_total", reason="unknown_reservation") == 2
        assert counted("quotad_decision_duration_seconds_count", call="reserve") == 4
        assert counted("quotad_script_duration_seconds_count", script="reserve") >= 4
        assert after["quotad_reservations_open", ()] == 1
        assert after["quotad_degraded", ()] == 0
        assert (await scrape(later))["quotad_reservations_open", ()] == 0


async def test_usage_under_the_names_of_bifrost(client: httpx.AsyncClient):
    key = await create_key(client)
    before = await scrape(client)
    for name in ("r1", "r2"):
        await admitted(client, key, request_id=name)
        for _ in range(2):
            await settle(client, name, input_tokens=100, cached_input_tokens=40, output_tokens=7, cost=0.25)
    after = await scrape(client)
    labels = (("model", "gpt-4o"), ("provider", "openai"))
    grown = {
        name: after[f"bifrost_{name}_total", labels] - before.get((f"bifrost_{name}_total", labels), 0)
        for name in ("cost", "input_tokens", "output_tokens", "cache_read_input_tokens")
    }
    # Sums of floats, to which other tests have added, too.
    cost = pytest.approx(0.5)
    assert grown == {"cost": cost, "input_tokens": 200, "output_tokens": 14, "cache_read_input_tokens": 80}


async def test_models_are_told_apart_up_to_a_bound(monkeypatch: pytest.MonkeyPatch, client: httpx.AsyncClient):
    monkeypatch.setattr(metrics, "_models", {})
    monkeypatch.setattr(metrics, "_MOST_MODELS", 2)
    for number in range(5):
        metrics.count_usage("openai", f"bounded-{number}", 0.0, 1, 0, 0)
        metrics.count_usage("openai", "bounded-0", 0.0, 1, 0, 0)
    told = {dict(labels)["model"] for name, labels in await scrape(client) if name == "bifrost_input_tokens_total"}
    assert {model for model in told if model.startswith("bounded")} == {"bounded-0", "bounded-1"}
    assert "other" in told


async def test_no_label_names_a_key(client: httpx.AsyncClient):
    key = await create_key(client)
    await admitted(client, key, request_id="a request of somebody")
    text = (await client.get("http://localhost/metrics")).text
    for secret in (key["id"], key["value"], key["name"], "of somebody"):
        assert secret not in text
