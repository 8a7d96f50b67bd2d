"""The rules of docs/enforcement.md written down a second time, as plainly as possible: one process, lists, no scripts.

What the scripts answer is held against it, step by step. It shares only calendar arithmetic with the service.
"""

from dataclasses import dataclass, field

from service.entities import Kind
from service.reservation import LimitKind, Mode, Plan, PlannedLimit
from service.windows import Window, period_start_ms

CounterName = tuple[Kind, str, int]


@dataclass
class ModelCounter:
    window: Window
    usage: int
    last_reset_ms: int


@dataclass
class ModelHold:
    counter: CounterName
    amount: int


@dataclass
class ModelReservation:
    """`holds` empties when the lease ends, `charged` remembers what was charged then."""

    fingerprint: str
    plan: Plan
    expires_at_ms: int
    charges_at_expiry: bool
    requests: dict[CounterName, int]
    holds: list[ModelHold]
    reserved: tuple[int, int]
    state: str = "open"
    charged: dict[CounterName, int] = field(default_factory=dict)
    expired: bool = False
    settled: tuple[int, int] = (0, 0)


def name_of(plan: Plan, limit: PlannedLimit) -> CounterName:
    owner = plan.owners[limit.owner]
    return owner.kind, owner.id, limit.slot


def round_up(expires_at_ms: int, lease_ms: int) -> int:
    """To a round time: of 1, 2, 5, 10, 20, 50 ... ms the longest step that is no longer than a hundredth of the lease."""
    step = max((digit * 10**power for power in range(8) for digit in (1, 2, 5) if digit * 10**power * 100 <= lease_ms), default=1)
    return -(-expires_at_ms // step) * step


class Model:
    def __init__(self) -> None:
        self.counters: dict[CounterName, ModelCounter] = {}
        self.reservations: dict[str, ModelReservation] = {}

    # --- time

    def advance(self, now_ms: int) -> None:
        """What runs out until now does so in its own moment, in order."""
        due = [
            one for one in self.reservations.values() if one.state == "open" and not one.expired and one.expires_at_ms <= now_ms
        ]
        for reservation in sorted(due, key=lambda one: one.expires_at_ms):
            reservation.expired = True
            if reservation.charges_at_expiry:
                for hold in reservation.holds:
                    self.charge(hold.counter, hold.amount, reservation.expires_at_ms)
                    reservation.charged[hold.counter] = hold.amount
            reservation.holds = []

    def read(self, name: CounterName, now_ms: int) -> tuple[int, int]:
        """usage and last_reset as of now."""
        counter = self.counters[name]
        if counter.window.align:
            start_ms = period_start_ms(counter.window.align, now_ms)
            over = counter.last_reset_ms < start_ms
        else:
            start_ms = now_ms
            over = now_ms - counter.last_reset_ms >= counter.window.length_ms
        return (0, start_ms) if over else (counter.usage, counter.last_reset_ms)

    def charge(self, name: CounterName, amount: int, now_ms: int) -> None:
        if amount and name in self.counters:
            usage, last_reset_ms = self.read(name, now_ms)
            counter = self.counters[name]
            counter.usage, counter.last_reset_ms = max(0, usage + amount), last_reset_ms

    def held(self, name: CounterName) -> int:
        return sum(
            hold.amount for one in self.reservations.values() if one.state == "open" for hold in one.holds if hold.counter == name
        )

    # --- decisions

    def fits(self, plan: Plan, limit: PlannedLimit, tokens: int, cost: int, now_ms: int) -> bool:
        name = name_of(plan, limit)
        usage, held = self.read(name, now_ms)[0], self.held(name)
        estimate = cost if limit.kind is LimitKind.BUDGET else tokens
        if limit.limit is None:
            return True
        if limit.kind is LimitKind.REQUESTS:
            return usage < limit.limit
        match plan.mode:
            case Mode.POSTPAID:
                return usage < limit.limit
            case Mode.CLAMP:
                return usage + held < limit.limit
            case Mode.STRICT:
                return usage + held < limit.limit and usage + held + estimate <= limit.limit

    def decide(self, plan: Plan, tokens: int, cost: int, now_ms: int) -> tuple[str, tuple[int, ...]]:
        over = [place for place, limit in enumerate(plan.limits) if not self.fits(plan, limit, tokens, cost, now_ms)]
        first = tuple(place for place in over if place < plan.gate)
        if first:
            return "refused", first
        if plan.expires_at_ms is not None and now_ms >= plan.expires_at_ms:
            return "expired", ()
        if plan.blocked is not None:
            return "blocked", ()
        return ("refused", tuple(over)) if over else ("granted", ())

    def reserve(
        self,
        plan: Plan,
        request_id: str,
        fingerprint: str,
        tokens: int,
        cost: int,
        lease_ms: int,
        *,
        charges_at_expiry: bool,
        now_ms: int,
    ) -> tuple[str, tuple[int, ...]]:
        known = self.reservations.get(request_id)
        if known is not None:
            return ("replayed" if known.fingerprint == fingerprint else "conflict"), ()
        verdict, violations = self.decide(plan, tokens, cost, now_ms)
        if verdict != "granted":
            return verdict, violations
        holds, requests, reserved = [], {}, {LimitKind.TOKENS: tokens, LimitKind.BUDGET: cost}
        for limit in plan.limits:
            name = name_of(plan, limit)
            if limit.kind is LimitKind.REQUESTS:
                self.charge(name, 1, now_ms)
                requests[name] = self.read(name, now_ms)[1]
            elif limit.limit is not None and plan.mode is not Mode.POSTPAID:
                left = limit.limit - self.read(name, now_ms)[0] - self.held(name)
                wanted = cost if limit.kind is LimitKind.BUDGET else tokens
                amount = wanted if plan.mode is Mode.STRICT else min(wanted, left)
                reserved[limit.kind] = min(reserved[limit.kind], amount)
                if amount:
                    holds.append(ModelHold(name, amount))
        self.reservations[request_id] = ModelReservation(
            fingerprint=fingerprint,
            plan=plan,
            expires_at_ms=round_up(now_ms + lease_ms, lease_ms),
            charges_at_expiry=charges_at_expiry,
            requests=requests,
            holds=holds,
            reserved=(0, 0) if plan.mode is Mode.POSTPAID else (reserved[LimitKind.TOKENS], reserved[LimitKind.BUDGET]),
        )
        return "granted", ()

    # --- what follows

    def give_back(self, one: ModelReservation, now_ms: int, *, keep_requests: bool) -> dict[CounterName, int]:
        """Answers what was charged at expiry and cannot be taken back, its window being over."""
        one.holds = []
        if not keep_requests:
            for name, counted_in in one.requests.items():
                if name in self.counters and self.read(name, now_ms)[1] == counted_in:
                    self.charge(name, -1, now_ms)
        beyond = {}
        for name, amount in one.charged.items():
            if name in self.counters and self.read(name, now_ms)[1] <= one.expires_at_ms:
                self.charge(name, -amount, now_ms)
            else:
                beyond[name] = amount
        return beyond

    def settle(
        self, request_id: str, tokens: int, cost: int, *, success: bool, plan: Plan | None, now_ms: int
    ) -> tuple[str, tuple[int, int]]:
        """The word, and the overrun."""
        one = self.reservations.get(request_id)
        if one is None:
            if plan is None:
                return "unknown", (0, 0)
            one = ModelReservation("", plan, now_ms, False, {}, [], (0, 0), state="none")
            self.reservations[request_id] = one
        if one.state == "settled":
            return "settled again", self._overrun(one, *one.settled)
        counts_request = success and one.state != "open"
        overrun = self._overrun(one, tokens, cost) if one.state == "open" else (0, 0)
        beyond = self.give_back(one, now_ms, keep_requests=success) if one.state == "open" else {}
        for limit in one.plan.limits:
            name = name_of(one.plan, limit)
            match limit.kind:
                case LimitKind.REQUESTS:
                    self.charge(name, int(counts_request), now_ms)
                case LimitKind.TOKENS:
                    self.charge(name, max(0, tokens - beyond.get(name, 0)), now_ms)
                case LimitKind.BUDGET:
                    self.charge(name, max(0, cost - beyond.get(name, 0)), now_ms)
        if one.state != "open":
            one.reserved = (2**60, 2**60)
        one.state, one.settled = "settled", (tokens, cost)
        return "settled", overrun

    def _overrun(self, one: ModelReservation, tokens: int, cost: int) -> tuple[int, int]:
        if one.plan.mode is Mode.POSTPAID:
            return 0, 0
        return max(0, tokens - one.reserved[0]), max(0, cost - one.reserved[1])

    def release(self, request_id: str, now_ms: int) -> str:
        one = self.reservations.get(request_id)
        if one is None:
            return "nothing to release"
        if one.state == "settled":
            return "conflict"
        if one.state == "open":
            self.give_back(one, now_ms, keep_requests=False)
            one.state = "released"
        return "released"

    def renew(self, request_id: str, lease_ms: int, now_ms: int) -> int | None:
        """Until when; None: there is no lease to renew."""
        one = self.reservations.get(request_id)
        if one is None or one.state != "open" or one.expires_at_ms <= now_ms:
            return None
        one.expires_at_ms = max(one.expires_at_ms, round_up(now_ms + lease_ms, lease_ms))
        return one.expires_at_ms

    # --- configuration

    def configure(self, counters: dict[CounterName, Window], now_ms: int) -> None:
        """The counters that exist from now on; one whose window is another keeps what it counts."""
        for name in self.counters.keys() - counters.keys():
            del self.counters[name]
        for name, window in counters.items():
            if name not in self.counters:
                start_ms = period_start_ms(window.align, now_ms) if window.align else now_ms
                self.counters[name] = ModelCounter(window, 0, start_ms)
            elif self.counters[name].window != window:
                usage, last_reset_ms = self.read(name, now_ms)
                self.counters[name] = ModelCounter(window, usage, last_reset_ms)
                # A window that would be over at once begins anew, with what is counted.
                self.counters[name].last_reset_ms = self.read(name, now_ms)[1]
