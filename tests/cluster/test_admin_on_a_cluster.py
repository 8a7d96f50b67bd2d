"""Admins' changes on a Redis Cluster: several slots, one after the other, harmless in between."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from redis import Redis

from service.app import create_app
from service.entities import CounterEdits, Kind, LimitOwner
from service.errors import Conflict, InvalidRequest, StoreUnavailable
from service.settings import Settings
from service.store import cluster_change, directory, keys
from service.store.change import Change, commit
from service.store.connection import Store
from service.store.keys import Ref
from service.store.quota import QuotaReader
from service.store.shared_limits import read_shared_limits
from service.store.snapshot import read
from tests.enforcement.world import Limits, World, customer, model_config, provider, provider_config, team, virtual_key
from tests.store.owners import existing, ref, stored
from tests.store.plans import NOW


@pytest.fixture
def world(store: Store) -> World:
    return World(store, NOW)


async def test_references_are_followed_over_slots(world: World, store: Store):
    own = model_config("own", scope="virtual_key", scope_id="key", budgets=(Limits().budget(7),))
    await world.create(customer("customer"), team("team", customer_id="customer"))
    change = Change(NOW)
    change.create(Kind.VIRTUAL_KEY, virtual_key("key", team_id="team", model_configs=(own,)), CounterEdits({}, set()))
    change.create_in_key(own)
    assert await commit(store, change)
    snapshot = await read(store, [Ref(Kind.MODEL_CONFIG, "own"), Ref(Kind.VIRTUAL_KEY, "none")])
    assert snapshot.now_ms == NOW
    key, one_team, one_customer = snapshot.key_of_model_config("own"), snapshot.team("team"), snapshot.customer("customer")
    assert key is not None
    assert key.entity.id == "key"
    assert one_team is not None
    assert one_customer is not None
    assert snapshot.virtual_key("none") is None
    assert (await read(store, [])).now_ms == NOW


async def test_names_are_unique(world: World, store: Store):
    await world.create(team("one"))
    twin = replace(team("two"), name="one")
    change = Change(NOW)
    change.create(Kind.TEAM, twin)
    with pytest.raises(Conflict):
        await commit(store, change)
    assert await stored(store, twin) is None
    assert [entity_id async for _, entity_id in directory.scan(store, keys.index(Kind.TEAM, "name"))] == ["one"]


async def test_one_of_many_who_want_a_name_gets_it(store: Store):
    async def claim(number: int) -> bool:
        change = Change(NOW)
        change.create(Kind.TEAM, replace(team(f"team-{number}"), name="wanted"))
        try:
            return await commit(store, change)
        except Conflict:
            return False

    assert sum(await asyncio.gather(*(claim(number) for number in range(20)))) == 1
    listed = [entity_id async for _, entity_id in directory.scan(store, keys.index(Kind.TEAM, "created"))]
    assert len(listed) == 1
    assert await stored(store, team(listed[0])) is not None


async def test_a_change_that_fails_takes_its_claim_back(world: World, store: Store):
    one = team("one")
    await world.create(one)
    outdated = await existing(store, one)
    await world.change(one, calendar_aligned=True)
    change = Change(NOW)
    change.replace(Kind.TEAM, outdated, replace(outdated.entity, name="new"))
    assert not await commit(store, change)
    change = Change(NOW)
    change.require(Ref(Kind.CUSTOMER, "nobody"), InvalidRequest("no such customer"))
    change.create(Kind.TEAM, team("two", customer_id="nobody"))
    with pytest.raises(InvalidRequest):
        await commit(store, change)
    assert [text async for text, _ in directory.scan(store, keys.index(Kind.TEAM, "name"))] == ["one"]
    assert [text async for text, _ in directory.scan(store, keys.children(Kind.TEAM, Ref(Kind.CUSTOMER, "nobody")))] == []


async def test_a_name_that_a_crash_left_claimed_is_freed(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster_change, "CLAIM_S", 0.05)
    change = Change(NOW)
    change.create(Kind.TEAM, replace(team("lost"), name="wanted"))
    with monkeypatch.context() as patched:
        patched.setattr(cluster_change.ClusterCommit, "_write_entities", _killed)
        with pytest.raises(StoreUnavailable):
            await commit(store, change)
    change = Change(NOW)
    change.create(Kind.TEAM, replace(team("found"), name="wanted"))
    assert await commit(store, change)
    assert [entity_id async for _, entity_id in directory.scan(store, keys.index(Kind.TEAM, "name"))] == ["found"]


async def _killed(*_: object) -> None:
    raise StoreUnavailable("killed")


async def test_workers_learn_of_a_change_once_it_is_written(world: World, store: Store, redis: Redis):
    """Raised before, it would let a worker keep the old limits under the new version."""
    await world.create(provider())
    before = redis.hget(keys.versions(), "limits")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cluster_change.ClusterCommit, "_write_entities", _killed)
        with pytest.raises(StoreUnavailable):
            await world.change(provider(), calendar_aligned=True)
    assert redis.hget(keys.versions(), "limits") == before
    await world.change(provider(), calendar_aligned=True)
    assert redis.hget(keys.versions(), "limits") != before


async def test_a_removal_that_was_cut_short_is_mended_by_another(world: World, store: Store, redis: Redis):
    """Workers learn of it before it is gone, and it is there for whoever removes it again."""
    one = model_config("one", rate_limit=Limits().rate(5, 5))
    await world.create(one)
    before = redis.hget(keys.versions(), "limits")

    async def remove() -> bool:
        change = Change(NOW)
        change.delete(Kind.MODEL_CONFIG, await existing(store, one))
        return await commit(store, change)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cluster_change.ClusterCommit, "_write_entities", _killed)
        with pytest.raises(StoreUnavailable):
            await remove()
    assert redis.hget(keys.versions(), "limits") != before
    assert await read_shared_limits(store) == ([], [])
    assert await remove()
    assert await stored(store, one) is None
    assert not redis.exists(keys.usage(ref(one)))


async def test_a_change_unlocks_what_it_locked(world: World, redis: Redis):
    one = team("one")
    await world.create(one)
    await world.change(one, name="renamed")
    assert not redis.exists(keys.lock(keys.config(ref(one))))


async def test_a_lock_that_ran_out_stays_with_whoever_has_it_now(world: World, redis: Redis, monkeypatch: pytest.MonkeyPatch):
    one = team("one")
    await world.create(one)
    lock = keys.lock(keys.config(ref(one)))
    run = cluster_change.ClusterCommit._run

    async def slow(change: cluster_change.ClusterCommit) -> int | None:
        """Takes so long that meanwhile its lock runs out and another change begins."""
        assert 0 < redis.pttl(lock) <= cluster_change.LOCK_MS
        redis.set(lock, "another", px=cluster_change.LOCK_MS)
        return await run(change)

    monkeypatch.setattr(cluster_change.ClusterCommit, "_run", slow)
    await world.change(one, name="renamed")
    assert redis.get(lock) == "another"


async def test_entries_get_numbers_that_nobody_has(store: Store):
    numbers = []
    for name in ("one", "two"):
        key = virtual_key(name, provider_configs=(provider_config(-1), provider_config(-2, "azure")))
        change = Change(NOW)
        change.create(Kind.VIRTUAL_KEY, key, CounterEdits({}, set()))
        assert await commit(store, change)
        numbers += [config.id for config in (await existing(store, key)).entity.provider_configs]
    assert len(set(numbers)) == 4
    assert min(numbers) > 0


async def test_what_is_deleted_is_gone_from_all_slots(world: World, store: Store, redis: Redis):
    owners: list[LimitOwner] = [customer("customer"), team("team", customer_id="customer"), virtual_key("key", team_id="team")]
    await world.create(*owners)
    for owner in reversed(owners):
        change = Change(NOW)
        change.delete(ref(owner).kind, await existing(store, owner))
        change.forget_children(ref(owner), Kind.TEAM, Kind.VIRTUAL_KEY)
        assert await commit(store, change)
    assert {str(key) for key in redis.scan_iter()} <= {keys.versions()}


async def test_many_keys_are_read_in_one_round(world: World, store: Store):
    budget = Limits().budget(5)
    await world.create(*(virtual_key(f"key-{number}", budgets=(budget,)) for number in range(20)))
    reader: QuotaReader[str] = QuotaReader(store, view=lambda key: key.name, largest_cache=100)
    for _ in range(2):
        readings = await asyncio.gather(*(reader.read(f"key-{number}") for number in range(20)), reader.read("none"))
        assert [reading.view if reading else None for reading in readings] == [*(f"key-{number}" for number in range(20)), None]


@pytest.fixture
async def client(redis: Redis, cluster_url: str) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(redis_url=cluster_url, redis_cluster=True, redis_timeout_ms=5_000, redis_admin_timeout_ms=10_000)
    application = create_app(settings)
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/governance") as one:
        yield one
    await application.services.close()


async def test_the_life_of_a_request(client: httpx.AsyncClient):
    """Over HTTP: configured, reserved, settled, refused, read."""
    limit = {"max_limit": 1, "reset_duration": "1d"}
    answer = await client.post("/customers", json={"name": "customer", "budgets": [limit]})
    assert answer.status_code == 200, answer.text
    owner = answer.json()["customer"]
    one_team = (await client.post("/teams", json={"name": "team", "customer_id": owner["id"], "budgets": [limit]})).json()["team"]
    rate = {"request_max_limit": 2, "request_reset_duration": "1h"}
    assert (await client.put("/providers/openai", json={"rate_limit": rate})).status_code == 200
    config = {"provider": "openai", "weight": 1, "allowed_models": ["*"], "key_ids": ["*"]}
    created = await client.post("/virtual-keys", json={"name": "key", "team_id": one_team["id"], "provider_configs": [config]})
    assert created.status_code == 200, created.text
    key = {"x-bf-vk": created.json()["virtual_key"]["value"]}
    asked = {"provider": "openai", "model": "gpt-4o", "tokens": 100, "cost": 0.25}
    for request_id in ("a", "b"):
        reserved = await client.post("/quota/reserve", json={**asked, "request_id": request_id}, headers=key)
        assert (reserved.status_code, reserved.json().get("decision")) == (200, "allow"), reserved.text
    settled = await client.post("/quota/settle", json={"reservation_id": "a", "cost": 0.5})
    assert (settled.status_code, settled.json()["cost"]) == (200, 0.5)
    assert (await client.post("/quota/release", json={"reservation_id": "b"})).json() == {"released": True}
    assert (await client.post("/quota/reserve", json={**asked, "request_id": "c"}, headers=key)).status_code == 200
    refused = await client.post("/quota/reserve", json={**asked, "request_id": "d"}, headers=key)
    assert (refused.status_code, refused.json()["decision"]) == (429, "request_limited"), refused.text
    shown = (await client.get(f"/teams/{one_team['id']}")).json()["team"]["budgets"][0]
    assert (shown["current_usage"], shown["reserved"]) == (0.5, 0.25)
    assert (await client.get("/virtual-keys/quota", headers=key)).status_code == 200
    assert (await client.delete(f"/teams/{one_team['id']}")).status_code == 200
    assert (await client.get("/virtual-keys")).json()["count"] == 1
