"""Committing a change: every check that refuses leaves Redis untouched; a change that met another one is built anew."""

import asyncio

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from service.entities import Entity, Kind
from service.errors import Conflict, InvalidRequest
from service.store import keys
from service.store.change import Change, commit, transact
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Snapshot
from tests.api.redis_state import contents
from tests.store.conftest import NOW_MS
from tests.store.consistency import assert_consistent
from tests.store.owners import (
    KINDS,
    ONE_OF_EACH,
    changed,
    changing,
    create,
    customer,
    existing,
    key,
    model_config,
    override,
    ref,
    rule,
    stored,
    team,
    uuid,
)

each = pytest.mark.parametrize("entity", ONE_OF_EACH, ids=lambda entity: type(entity).__name__)

REFUSAL = InvalidRequest("it must be there")


async def refused(store: Store, redis: Redis, change: Change) -> Exception | None:
    """What it is refused with (None: somebody was faster), once Redis is seen to be as before."""
    before = contents(redis)
    error: Exception | None = None
    try:
        assert not await commit(store, change)
    except (InvalidRequest, Conflict) as raised:
        error = raised
    assert contents(redis) == before
    return error


@each
async def test_created_read_replaced_and_deleted(store: Store, redis: Redis, entity: Entity):
    kind = KINDS[type(entity)]
    await create(store, entity)
    first = await existing(store, entity)
    assert (first.entity, first.version, first.counters) == (entity, 1, {})
    assert_consistent(redis)

    later = changed(entity, updated_at_ms=NOW_MS + 1)
    assert await commit(store, changing(lambda change: change.replace(kind, first, later)))
    second = await existing(store, entity)
    assert (second.entity, second.version) == (later, 2)
    assert_consistent(redis)

    assert await commit(store, changing(lambda change: change.delete(kind, second)))
    assert await stored(store, entity) is None
    assert_consistent(redis)
    assert set(redis.scan_iter()) <= {keys.versions()}


@each
async def test_what_exists_is_not_created_again(store: Store, redis: Redis, entity: Entity):
    await create(store, entity)
    again = changing(lambda change: change.create(KINDS[type(entity)], entity))
    assert await refused(store, redis, again) is None


@each
@pytest.mark.parametrize("verb", ["replace", "delete"])
async def test_what_changed_since_it_was_read_is_left_alone(store: Store, redis: Redis, entity: Entity, verb: str):
    kind = KINDS[type(entity)]
    await create(store, entity)
    outdated = await existing(store, entity)
    assert await commit(store, changing(lambda change: change.replace(kind, outdated, changed(entity, updated_at_ms=1))))
    change = Change(0)
    change.replace(kind, outdated, entity) if verb == "replace" else change.delete(kind, outdated)
    assert await refused(store, redis, change) is None


@each
@pytest.mark.parametrize("verb", ["replace", "delete"])
async def test_what_is_gone_does_not_come_back(store: Store, redis: Redis, entity: Entity, verb: str):
    kind = KINDS[type(entity)]
    await create(store, entity)
    gone = await existing(store, entity)
    assert await commit(store, changing(lambda change: change.delete(kind, gone)))
    change = Change(0)
    change.replace(kind, gone, entity) if verb == "replace" else change.delete(kind, gone)
    assert await refused(store, redis, change) is None


@pytest.mark.parametrize("otherwise", [REFUSAL, None])
async def test_what_must_exist(store: Store, redis: Redis, otherwise: InvalidRequest | None):
    def build(change: Change) -> None:
        change.require(ref(team()), otherwise)
        change.create(Kind.VIRTUAL_KEY, key(team_id=uuid("t")))

    assert await refused(store, redis, changing(build)) is otherwise
    await create(store, team())
    assert await commit(store, changing(build))
    assert_consistent(redis)


A_MODEL = model_config(model_name="gpt", provider="openai")
A_RULE = rule(scope="team", scope_id="x", priority=5)

TAKEN: list[tuple[Entity, Entity, str | None]] = [
    (key("a", name="same"), key("b", name="same"), "name"),
    (team("a", name="same"), team("b", name="same"), "name"),
    (customer("a", name="same"), customer("b", name="same"), "name"),
    (A_MODEL, changed(A_MODEL, id=uuid("n")), "model_name"),
    (model_config(model_name="gpt"), model_config("n", model_name="gpt"), "model_name"),
    (A_RULE, changed(A_RULE, id=uuid("s"), priority=6), "name"),
    (A_RULE, changed(A_RULE, id=uuid("s"), name="other"), "priority"),
    # Free:
    (key("a", name="same"), key("b", name="Same"), None),
    (key("a", name="same"), key("b", name="same "), None),
    (key("a", name="same"), key("b", name="sam"), None),
    (key("a", name="sam"), key("b", name="same"), None),
    (key("a", name="é"), key("b", name="e\u0301"), None),
    (key("a", name="\U0010ffff"), key("b", name="\uffff"), None),
    (team("a", name="same"), customer("b", name="same"), None),
    (team("a", name="same"), key("b", name="same"), None),
    (A_MODEL, changed(A_MODEL, id=uuid("n"), provider=None), None),
    (A_MODEL, changed(A_MODEL, id=uuid("n"), model_name="GPT"), None),
    (A_MODEL, changed(A_MODEL, id=uuid("n"), scope="user", scope_id="u"), None),
    (A_RULE, changed(A_RULE, id=uuid("s"), scope_id="y"), None),
    (A_RULE, changed(A_RULE, id=uuid("s"), scope="customer"), None),
    (A_RULE, changed(A_RULE, id=uuid("s"), name="other", priority=-5), None),
    (A_RULE, changed(A_RULE, id=uuid("s"), name="other", priority=55), None),
    (override("a", name="same"), override("b", name="same"), None),
]


@pytest.mark.parametrize("first, second, param", TAKEN)
async def test_what_may_be_there_once(store: Store, redis: Redis, first: Entity, second: Entity, param: str | None):
    await create(store, first)
    creation = changing(lambda change: change.create(KINDS[type(second)], second))
    if param is None:
        assert await commit(store, creation)
    else:
        refusal = await refused(store, redis, creation)
        assert isinstance(refusal, Conflict)
        assert refusal.param == param
        assert "already exists" in refusal.message
    assert_consistent(redis)


async def test_its_own_name_is_free_and_its_old_one_becomes_free(store: Store, redis: Redis):
    old, new = team(name="old"), team(name="new")
    await create(store, old)
    for entity in (old, new):
        read = await existing(store, entity)
        assert await commit(store, changing(lambda change: change.replace(Kind.TEAM, read, entity)))  # noqa: B023
    await create(store, team("u", name="old"))
    read = await existing(store, new)
    refusal = await refused(store, redis, changing(lambda change: change.replace(Kind.TEAM, read, old)))
    assert isinstance(refusal, Conflict)


async def test_the_first_check_that_fails_says_why(store: Store, redis: Redis):
    def build(change: Change) -> None:
        change.require(ref(team()), REFUSAL)
        change.require(ref(customer()), InvalidRequest("second"))

    assert await refused(store, redis, changing(build)) is REFUSAL


async def test_an_unknown_check_is_a_bug_and_writes_nothing(store: Store, redis: Redis):
    change = changing(lambda change: change.create(Kind.TEAM, team()))
    change.checks.append(["never heard of", "1"])
    change.refusals.append(None)
    with pytest.raises(ResponseError, match="unknown check"):
        await commit(store, change)
    assert contents(redis) == {}


async def test_a_change_is_built_anew_when_somebody_was_faster(store: Store, redis: Redis):
    await create(store, team())
    seen: list[int] = []

    def build(snapshot: Snapshot) -> Change:
        read = snapshot.team(uuid("t"))
        assert read is not None
        seen.append(read.version)
        if len(seen) < 3:
            redis.hincrby(keys.config(ref(team())), "version", 1)
        return changing(lambda change: change.replace(Kind.TEAM, read, team(name=f"attempt {len(seen)}")))

    await transact(store, [ref(team())], build)
    assert seen == [1, 2, 3]
    assert (await existing(store, team())).entity.name == "attempt 3"


async def test_it_gives_up_on_what_never_stops_changing(store: Store, redis: Redis):
    await create(store, team())

    def build(snapshot: Snapshot) -> Change:
        read = snapshot.team(uuid("t"))
        assert read is not None
        redis.hincrby(keys.config(ref(team())), "version", 1)
        return changing(lambda change: change.replace(Kind.TEAM, read, team(name="new")))

    with pytest.raises(Conflict, match="others keep changing"):
        await transact(store, [ref(team())], build)
    assert (await existing(store, team())).entity == team()


async def test_writers_at_once_lose_no_change(store: Store, redis: Redis):
    """Each adds a second to `updated_at_ms`: a lost update would be missing from the sum."""
    await create(store, team())

    async def add_a_second() -> None:
        def build(snapshot: Snapshot) -> Change:
            read = snapshot.team(uuid("t"))
            assert read is not None
            later = changed(read.entity, updated_at_ms=read.entity.updated_at_ms + 1_000)
            return changing(lambda change: change.replace(Kind.TEAM, read, later))

        await transact(store, [Ref(Kind.TEAM, uuid("t"))], build)

    await asyncio.gather(*(add_a_second() for _ in range(12)))
    after = await existing(store, team())
    assert (after.entity.updated_at_ms, after.version) == (NOW_MS + 12_000, 13)


async def test_a_version_never_comes_back(store: Store, redis: Redis):
    """Redis may lose its last second; what a worker knows by a version must not be taken for what is written later."""
    await create(store, team())
    read = await existing(store, team())
    change = Change(1_900_000_000_000)
    change.replace(Kind.TEAM, read, team())
    assert await commit(store, change)
    assert (await existing(store, team())).version == 1_900_000_000_000
    assert_consistent(redis)
