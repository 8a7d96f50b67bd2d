"""Plans made by hand for tests of the store, and the usage hashes they count in."""

from collections.abc import Mapping
from dataclasses import dataclass

from redis import Redis

from service.entities import Counter, Kind
from service.reservation import Blockage, LimitKind, Mode, Plan, PlannedLimit, PlannedOwner, Reserve
from service.store import keys
from service.store.keys import Ref
from service.windows import Window, initial_reset_ms
from tests.store.stored_counters import store_counter

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

ROLLING_DAY = Window(DAY, "")

NOW = 1_900_000_000_000
"""Sunday 2030-03-17T17:46:40Z."""

SCOPES = {
    "provider": Kind.PROVIDER,
    "model": Kind.MODEL_CONFIG,
    "key": Kind.VIRTUAL_KEY,
    "team": Kind.TEAM,
    "customer": Kind.CUSTOMER,
}


@dataclass(frozen=True)
class Limit:
    """`owner` is the name of its owner, whose kind it begins with: "team", "team 2"."""

    owner: str
    kind: LimitKind
    limit: int | None
    window: Window = ROLLING_DAY
    slot: int = 1


def tokens(owner: str, limit: int | None, window: Window = ROLLING_DAY, slot: int = 1) -> Limit:
    return Limit(owner, LimitKind.TOKENS, limit, window, slot)


def requests(owner: str, limit: int | None, window: Window = ROLLING_DAY, slot: int = 2) -> Limit:
    return Limit(owner, LimitKind.REQUESTS, limit, window, slot)


def budget(owner: str, limit: int | None, window: Window = ROLLING_DAY, slot: int = 3) -> Limit:
    return Limit(owner, LimitKind.BUDGET, limit, window, slot)


def plan_of(
    *limits: Limit,
    mode: Mode = Mode.CLAMP,
    gate: int = 0,
    blocked: bool = False,
    expires_at_ms: int | None = None,
    global_version: int = 0,
    versions: Mapping[str, int | None] | None = None,
) -> Plan:
    names = list(dict.fromkeys(limit.owner for limit in limits))
    versions = dict.fromkeys(names, 1) | dict(versions or {})
    return Plan(
        owners=tuple(PlannedOwner(kind=kind_of(name), id=name, version=versions[name]) for name in names),
        limits=tuple(
            PlannedLimit(
                scope=name_of_scope(limit.owner),
                owner_id=limit.owner,
                limit_id=f"{limit.owner}/{limit.slot}",
                kind=limit.kind,
                limit=limit.limit,
                reset_duration="as the window says",
                window=limit.window,
                owner=names.index(limit.owner),
                slot=limit.slot,
            )
            for limit in limits
        ),
        gate=gate,
        blocked=Blockage(decision="provider_blocked", reason="not allowed") if blocked else None,
        expires_at_ms=expires_at_ms,
        mode=mode,
        global_version=global_version,
        key_id="key",
        key_name="a key",
        team_id=None,
        customer_id=None,
        provider="openai",
        model="gpt-4o",
        key_ids=("*",),
    )


def kind_of(owner: str) -> Kind:
    return SCOPES[owner.split()[0]]


def name_of_scope(owner: str) -> str:
    return {"model": "model_config", "key": "virtual_key"}.get(owner.split()[0], owner.split()[0])


def usage_key(owner: str) -> str:
    return keys.usage(Ref(kind_of(owner), owner))


def create(redis: "Redis", *plans: Plan, now_ms: int = NOW, usage: int = 0) -> None:
    """The usage hashes as they are when the owners have just been configured."""
    for plan in plans:
        for limit in plan.limits:
            owner = plan.owners[limit.owner]
            key = keys.usage(Ref(owner.kind, owner.id))
            redis.hset(key, "v", 1)
            store_counter(redis, key, limit.slot, Counter(usage, initial_reset_ms(limit.window, now_ms), 0))


def reserve(plan: Plan, request_id: str, *, tokens: int = 0, cost: int = 0, lease_ms: int = 10 * MINUTE) -> Reserve:
    return Reserve(
        plan=plan,
        request_id=request_id,
        fingerprint=b"fingerprint",
        tokens=tokens,
        cost_nanousd=cost,
        lease_ms=lease_ms,
        detail=b'{"detail": "of %b"}' % request_id.encode(),
    )
