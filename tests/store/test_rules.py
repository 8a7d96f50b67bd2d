"""Reading all routing rules: in order of evaluation, with the version they are of."""

from service.entities import Kind, RoutingRule
from service.store.change import Change, commit, transact
from service.store.connection import Store
from service.store.keys import Ref
from service.store.rules import read_rules, routing_version
from tests.routing.rules import rule


async def create(store: Store, *rules: RoutingRule) -> None:
    for one in rules:
        change = Change()
        change.create(Kind.ROUTING_RULE, one)
        assert await commit(store, change)


async def test_no_rules(store: Store):
    found = await read_rules(store)
    assert (found.version, found.rules) == (0, ())


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
    assert [one.name for one in found.rules] == ["smallest", "first", "new", "old", "late", "largest"]
    assert set(found.rules) == set(rules)


async def test_every_change_of_a_rule_raises_the_version(store: Store):
    versions = [await routing_version(store)]
    one = rule("one")
    await create(store, one)
    versions.append(await routing_version(store))

    def delete(snapshot) -> Change:
        change = Change()
        change.delete(Kind.ROUTING_RULE, snapshot.routing_rule("one"))
        return change

    await transact(store, [Ref(Kind.ROUTING_RULE, "one")], delete)
    versions.append(await routing_version(store))
    assert versions == [0, 1, 2]
    assert await read_rules(store) == await read_rules(store)


async def test_more_rules_than_one_call_reads(store: Store):
    await create(store, *(rule(str(number), priority=number) for number in range(600)))
    assert [one.priority for one in (await read_rules(store)).rules] == list(range(600))
