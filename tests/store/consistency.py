"""Reads all of Redis and says what contradicts itself there: what every change must leave whole, however it ended."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import unquote

from redis import Redis

from service.entities import Budget, Entity, Kind, ModelConfig, Provider, RateLimit, RoutingRule, VirtualKey
from service.store import directory, keys
from service.store.codec import decode_entity
from service.store.keys import Ref
from service.store.snapshot import HELD_BY
from tests.store.stored_counters import counters_in

_OWNED = re.compile(r"q1:{(?P<kind>[a-z]+):(?P<id>[^}]*)}:(?P<part>config|usage)")
_DIRECTORY = "q1:{directory}:"
_WITHOUT_COUNTERS = (Kind.ROUTING_RULE, Kind.PRICING_OVERRIDE)
_NAMED_ONCE = (Kind.VIRTUAL_KEY, Kind.TEAM, Kind.CUSTOMER)


@dataclass
class Contents:
    """Redis as the checks look at it: entities by what names them, counters by the same, members of each sorted set."""

    entities: dict[Ref, Entity] = field(default_factory=dict)
    versions: dict[Ref, str] = field(default_factory=dict)
    holders: dict[Ref, str] = field(default_factory=dict)
    usage: dict[Ref, dict[str, str]] = field(default_factory=dict)
    indexes: dict[str, set[str]] = field(default_factory=dict)

    def of(self, kind: Kind) -> Iterator[Entity]:
        return (entity for ref, entity in self.entities.items() if ref.kind == kind)


def assert_consistent(redis: Redis) -> None:
    """`redis` decodes responses; nobody may write meanwhile."""
    found = problems(redis)
    assert not found, "Redis contradicts itself:\n" + "\n".join(found)


def problems(redis: Redis) -> list[str]:
    contents = _read(redis)
    return [
        *_wrong_indexes(contents),
        *_names_used_twice(contents),
        *_wrong_counters(contents),
        *_wrong_holders(contents),
        *_wrong_numbers(contents, int(redis.get(keys.sequence("config")) or 0)),
    ]


def _read(redis: Redis) -> Contents:
    contents = Contents()
    for key in sorted(redis.scan_iter(count=1_000)):
        owned = _OWNED.fullmatch(key)
        if owned:
            ref = Ref(Kind(owned["kind"]), unquote(owned["id"]))
            _add(contents, ref, owned["part"], cast("dict[str, str]", redis.hgetall(key)))
        elif key.startswith(_DIRECTORY) and redis.type(key) == "zset":
            scored = cast("list[tuple[str, float]]", redis.zrange(key, 0, -1, withscores=True))
            assert {score for _, score in scored} == {0.0}, f"{key} is not ordered by member"
            contents.indexes[key] = {member for member, _ in scored}
    return contents


def _add(contents: Contents, ref: Ref, part: str, fields: dict[str, str]) -> None:
    if part == "usage":
        contents.usage[ref] = fields
        return
    contents.versions[ref] = fields["version"]
    if HELD_BY in fields:
        contents.holders[ref] = json.loads(fields[HELD_BY])
        return
    entity = decode_entity(ref.kind, {name.encode(): text.encode() for name, text in fields.items()})
    assert entity.id == ref.id, f"{ref} holds {entity.id}"
    contents.entities[ref] = entity
    for config in entity.model_configs if isinstance(entity, VirtualKey) else ():
        assert Ref(Kind.MODEL_CONFIG, config.id) not in contents.entities, f"{config.id} is there twice"
        contents.entities[Ref(Kind.MODEL_CONFIG, config.id)] = config


def _wrong_indexes(contents: Contents) -> Iterator[str]:
    """Every entity is in all its sorted sets, and nothing else is. What names a parent that is gone is in no list of it."""
    expected: dict[str, set[str]] = {}
    for entity in contents.entities.values():
        for entry in directory.entries(entity):
            expected.setdefault(entry.key, set()).add(entry.member)
    for parent in _missing_parents(contents):
        for kind in (Kind.TEAM, Kind.VIRTUAL_KEY):
            expected.pop(keys.children(kind, parent), None)
    for key in sorted(expected.keys() | contents.indexes.keys()):
        listed, wanted = contents.indexes.get(key, set()), expected.get(key, set())
        yield from (f"{key} lacks {member!r}" for member in sorted(wanted - listed))
        yield from (f"{key} lists {member!r}, which nothing asks for" for member in sorted(listed - wanted))


def _missing_parents(contents: Contents) -> set[Ref]:
    named = {
        Ref(kind, parent_id)
        for entity in contents.entities.values()
        for kind, member in ((Kind.TEAM, "team_id"), (Kind.CUSTOMER, "customer_id"))
        if (parent_id := getattr(entity, member, None))
    }
    return named - contents.entities.keys()


def _names_used_twice(contents: Contents) -> Iterator[str]:
    for kind in _NAMED_ONCE:
        yield from _repeated(f"{kind} name", (getattr(entity, "name", None) for entity in contents.of(kind)))
    rules = [rule for rule in contents.of(Kind.ROUTING_RULE) if isinstance(rule, RoutingRule)]
    yield from _repeated("rule name", ((rule.scope, rule.scope_id, rule.name) for rule in rules))
    yield from _repeated("rule priority", ((rule.scope, rule.scope_id, rule.priority) for rule in rules))
    configs = [config for config in contents.of(Kind.MODEL_CONFIG) if isinstance(config, ModelConfig)]
    identities = ((config.scope, config.scope_id, config.model_name, config.provider) for config in configs)
    yield from _repeated("model config", identities)


def _repeated(what: str, values: Iterable[object]) -> Iterator[str]:
    return (f"{what} {value!r} is there {count} times" for value, count in Counter(values).items() if count > 1)


def _wrong_counters(contents: Contents) -> Iterator[str]:
    """The usage hash has exactly the slots of the configured limits, at the version of the configuration."""
    owners = {ref for ref in contents.versions if ref.kind not in _WITHOUT_COUNTERS and ref not in contents.holders}
    yield from (f"{ref} has counters and is none" for ref in contents.usage.keys() - owners)
    for ref in sorted(owners, key=str):
        fields = contents.usage.get(ref, {})
        if fields.get("v") != contents.versions[ref]:
            yield f"{ref} is at version {contents.versions[ref]}, its counters at {fields.get('v')}"
        slots = Counter(_slots(contents.entities[ref]))
        yield from (f"{ref} uses slot {slot} {count} times" for slot, count in slots.items() if count > 1)
        counted = counters_in(fields)
        if counted.keys() != slots.keys():
            yield f"{ref} has slots {sorted(slots)}, its counters are {sorted(counted)}"
        next_slot = getattr(contents.entities[ref], "next_slot", 0)
        if any(slot >= next_slot for slot in slots):
            yield f"{ref} would use a slot again: the next is {next_slot}, there are {sorted(slots)}"


def _slots(entity: Entity) -> Iterator[int]:
    parts: list[object] = [entity]
    if isinstance(entity, VirtualKey):
        parts += [*entity.provider_configs, *entity.model_configs]
    for part in parts:
        budgets: tuple[Budget, ...] = getattr(part, "budgets", ())
        rate_limit: RateLimit | None = getattr(part, "rate_limit", None)
        yield from (budget.slot for budget in budgets)
        if rate_limit is not None:
            yield from (rate_limit.token_slot, rate_limit.request_slot)


def _wrong_holders(contents: Contents) -> Iterator[str]:
    """A model config of a key is in the key, and a locator says in which; no other has one."""
    held = {
        Ref(Kind.MODEL_CONFIG, config.id): key.id
        for key in contents.of(Kind.VIRTUAL_KEY)
        if isinstance(key, VirtualKey)
        for config in key.model_configs
    }
    if held != contents.holders:
        yield f"keys hold {held}, locators say {contents.holders}"
    for ref, key_id in held.items():
        config = contents.entities[ref]
        if isinstance(config, ModelConfig) and (config.scope, config.scope_id) != ("virtual_key", key_id):
            yield f"{ref} is held by {key_id} and says {config.scope} {config.scope_id}"


def _wrong_numbers(contents: Contents, last_given: int) -> Iterator[str]:
    owners = [key for key in contents.of(Kind.VIRTUAL_KEY) if isinstance(key, VirtualKey)]
    used = [config.id for key in owners for config in key.provider_configs] + [
        mcp.id for key in owners for mcp in key.mcp_configs
    ]
    yield from _repeated("number", used)
    yield from (f"number {number} was never given out" for number in used if not 0 < number <= last_given)
    # A provider is named by the operator, everything else by a UUID: what reads members relies on it.
    for entity in contents.entities.values():
        if not isinstance(entity, Provider) and not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", entity.id):
            yield f"{entity.id!r} is no UUID"
