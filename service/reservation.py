"""What a decision takes and answers: a plan of limits, the calls on a reservation, their outcomes. Values only, no rules.

`quota/plan.py` makes plans, `store/reservations.py` runs the calls; this module lies below both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from service.entities import Counter, Kind
from service.windows import Window


class Mode(StrEnum):
    """How limits are enforced; see Plan.mode."""

    POSTPAID = "postpaid"
    CLAMP = "clamp"
    STRICT = "strict"


class LimitKind(StrEnum):
    """What one counter counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOwner:
    """One usage hash. `version` is checked by the script; None: covered by Plan.global_version."""

    kind: Kind
    id: str
    version: int | None


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class PlannedLimit:
    """One counter. `limit` None: counted only, never checked and not shown. `owner` is a place in Plan.owners.

    `scope` and `owner_id` are what an answer shows: provider | model_config | provider_config | virtual_key | team | customer.
    """

    scope: str
    owner_id: str
    limit_id: str
    kind: LimitKind
    limit: int | None
    reset_duration: str
    window: Window
    owner: int
    slot: int


PROVIDER_SCOPES: Final = frozenset(("provider", "model_config", "provider_config"))
"""Scopes of limits that a request to another provider may not have to meet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blockage:
    """Why a request is refused whatever its limits say, e.g. ("provider_blocked", "...")."""

    decision: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Plan:
    """Everything that applies to one (key, provider, model), in order of checks. No counter appears twice.

    The first `gate` limits are judged before the key is looked at; `blocked` and `expires_at_ms` follow; then the rest.
    A key that expired beats `blocked`: leave `expires_at_ms` None where `blocked` must win (an inactive key).
    """

    owners: tuple[PlannedOwner, ...]
    limits: tuple[PlannedLimit, ...]
    gate: int
    blocked: Blockage | None
    expires_at_ms: int | None
    mode: Mode
    global_version: int | None
    """Of what binds every key, checked by the script; None: whatever it is, and then all owners have versions."""
    key_id: str | None
    key_name: str | None
    team_id: str | None
    customer_id: str | None
    provider: str
    model: str
    key_ids: tuple[str, ...]
    request_type: str = ""
    """Says which prices apply; "" where the request did not say."""

    def has_expired(self, now_ms: int) -> bool:
        return self.expires_at_ms is not None and self.expires_at_ms <= now_ms


class LimitStates:
    """The counters of all limits of a plan at the moment of the answer, by place; `last_reset_ms` of one is -1 where an admin
    removed it. `numbers` are those of one counter after the other: every third of them is a usage.
    """

    __slots__ = ("numbers",)

    def __init__(self, numbers: tuple[int, ...] = ()) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers) // 3

    def __getitem__(self, place: int) -> Counter:
        return Counter(*self.numbers[3 * place : 3 * place + 3])

    def __iter__(self) -> Iterator[Counter]:
        return (self[place] for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LimitStates) and self.numbers == other.numbers

    def __hash__(self) -> int:
        return hash(self.numbers)


NO_STATES: Final = LimitStates()

# --- calls -------------------------------------------------------------------------------------------------------------


class Reserve(NamedTuple):
    """`fingerprint` (at most 32 bytes) covers the virtual key and the body; `detail` is JSON for the answer, kept for replays.

    `basis`: versions of the rules and prices that the caller went by; "" where they play no part.
    """

    plan: Plan
    request_id: str
    fingerprint: bytes
    tokens: int
    cost_nanousd: int
    lease_ms: int
    detail: bytes
    basis: str = ""


class Charge(NamedTuple):
    """What a settlement costs and what its answer says of that. `basis` as in Reserve."""

    cost_nanousd: int
    detail: bytes
    basis: str = ""


class Settle(NamedTuple):
    """What was really used. `plan` is for an id nobody reserved: charged as post-paid usage; None: Unknown is answered.

    `charge_by`: the cost follows from the plan that is charged, which only the reservation knows.
    """

    request_id: str
    tokens: int
    success: bool
    charge_by: Callable[[Plan], Charge]
    plan: Plan | None = None


class Release(NamedTuple):
    request_id: str


class Renew(NamedTuple):
    request_id: str
    lease_ms: int


class Explain(NamedTuple):
    """What `Reserve` would be answered now; nothing is written."""

    plan: Plan
    tokens: int
    cost_nanousd: int
    basis: str = ""


# --- outcomes ----------------------------------------------------------------------------------------------------------


class Granted(NamedTuple):
    """`reserved_*` stands aside for this request: its estimate, less where a limit had less left (clamp), 0 (postpaid)."""

    now_ms: int
    expires_at_ms: int
    reserved_tokens: int
    reserved_nanousd: int
    states: LimitStates


class Replayed(NamedTuple):
    """The same id and fingerprint once more: the first answer, with the plan and the detail it was given then."""

    first: Granted
    plan: Plan
    detail: bytes


class Refused(NamedTuple):
    """`violations` are places in Plan.limits, in order of checks: of the step that refused; `over` of all that would refuse.

    Trying again at `retry_at_ms` succeeds if nobody else takes what comes free; None: waiting does not help.
    """

    now_ms: int
    violations: tuple[int, ...]
    over: tuple[int, ...]
    states: LimitStates
    retry_at_ms: int | None


class Blocked(NamedTuple):
    """The limits before the gate passed, the key did not: it has expired, or else the reason is Plan.blocked."""

    now_ms: int
    key_expired: bool
    states: LimitStates


@dataclass(frozen=True, slots=True)
class Stale:
    """Configuration changed since the plan was made: make it again and call again."""


@dataclass(frozen=True, slots=True)
class IdConflict:
    """The id belongs to another request (reserve), or the reservation was settled (release)."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No such reservation (any more)."""


class Settled(NamedTuple):
    """All numbers and `detail` are those of the first settlement, also when `replayed`. Where nothing was held, overrun is 0."""

    now_ms: int
    plan: Plan
    tokens: int
    cost_nanousd: int
    overrun_tokens: int
    overrun_nanousd: int
    states: LimitStates
    detail: bytes
    replayed: bool


class Released(NamedTuple):
    """`released` is False for an unknown id; a reservation released before is released, too: then it is `replayed`."""

    released: bool
    replayed: bool


class Renewed(NamedTuple):
    expires_at_ms: int


class Explained(NamedTuple):
    """The outcome that `Reserve` would have, every limit as it is now, and the places of all that would refuse.

    `outcome.expires_at_ms` of a Granted is now: no lease was asked for.
    """

    now_ms: int
    states: LimitStates
    over: tuple[int, ...]
    outcome: Granted | Refused | Blocked


ReserveOutcome = Granted | Replayed | Refused | Blocked | Stale | IdConflict
SettleOutcome = Settled | Unknown | Stale
ReleaseOutcome = Released | IdConflict
RenewOutcome = Renewed | Unknown
ExplainOutcome = Explained | Stale
