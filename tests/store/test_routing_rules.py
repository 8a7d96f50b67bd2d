"""Reading all routing rules: in order of evaluation, and the version that tells of a change."""

from service.entities import Kind, RoutingRule
from service.store.change import Change, commit, transact
from service.store.connection import Store
from service.store.keys import Ref
from service.store.routing_rules import read_rules
from service.store.snapshot import Snapshot
from service.store.versions import Versions, read_versions
from tests.routing.rules import rule


async def create(store: Store, *rules: RoutingRule) -> None:
    for one in rules:
        change = Change(0)
        change.create(Kind.ROUTING_RULE, one)
        assert await commit(store, change)


async def test_no_rules(store: Store):
    assert await read_rules(store) == ()


async def test_smaller_priorities_first_and_among_equals_the_newest(store: Store):
    rules = [
        rule("late", priority=7),
        rule("first", priority=-3),
        rule("old", priority=5, created_at_ms=1),
        rule("new", priority=5, created_at_ms=2, scope="team"),
        rule("smallest", priority=-(2**53) + 1),
        rule("largest", priority=2**53 - 1),
    ]
    await create(store, *rules)
    found = await read_rules(store)
    assert [one.name for one in found] == ["smallest", "first", "new", "old", "late", "largest"]
    assert set(found) == set(rules)


async def test_every_change_of_a_rule_raises_the_version(store: Store):
    versions = [await read_versions(store)]
    await create(store, rule("one"))
    versions.append(await read_versions(store))

    def delete(snapshot: Snapshot) -> Change:
        stored = snapshot.routing_rule("one")
        assert stored is not None
        change = Change(0)
        change.delete(Kind.ROUTING_RULE, stored)
        return change

    await transact(store, [Ref(Kind.ROUTING_RULE, "one")], delete)
    versions.append(await read_versions(store))
    none, created, deleted = versions
    assert none == Versions(limits=0, routing=0, pricing=0)
    assert none.routing < created.routing < deleted.routing
    assert {(one.limits, one.pricing) for one in versions} == {(0, 0)}


async def test_more_rules_than_one_call_reads(store: Store):
    await create(store, *(rule(str(number), priority=number) for number in range(600)))
    assert [one.priority for one in await read_rules(store)] == list(range(600))
