"""The headers that say what is left: RateLimit and RateLimit-Policy (IETF draft), x-ratelimit-* (OpenAI), Retry-After. Hot."""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final

from service.quota.decision import Reading, Verdict
from service.remembered import remembered
from service.reservation import LimitKind, Plan, PlannedLimit

RawHeaders = list[tuple[bytes, bytes]]

Left = tuple[int, int, int]
"""Limit, what remains of it, when it resets."""

LARGEST_INTEGER: Final = 999_999_999_999_999
"""Of a structured field (RFC 9651): 15 digits."""

_UNITS: Final = {LimitKind.REQUESTS: "", LimitKind.TOKENS: ';qu="tokens"', LimitKind.BUDGET: ';qu="microusd"'}
"""The unit of a policy when it is not requests. Dollars would not be whole numbers, nano-dollars have too many digits."""

_PER_UNIT: Final = {LimitKind.REQUESTS: 1, LimitKind.TOKENS: 1, LimitKind.BUDGET: 1000}
_REMAINING: Final = itemgetter(1)


class Policies:
    """Limits as headers name them: made once, filled in for every answer. `readings` are of the same limits in the same order."""

    def __init__(self, limits: Iterable[PlannedLimit]) -> None:
        shown = [planned for planned in limits if planned.limit is not None]
        self.names = _names(shown)
        named = list(zip(self.names, shown, strict=True))
        policies = ", ".join(_policy(name, planned, planned.limit or 0) for name, planned in named)
        self._policies = (b"ratelimit-policy", policies.encode())
        self.starts = [(f'"{name}";r=', _PER_UNIT[planned.kind]) for name, planned in named]
        self._openai = [
            (_openai_names(kind), places)
            for kind in (LimitKind.REQUESTS, LimitKind.TOKENS)
            if (places := [place for place, planned in enumerate(shown) if planned.kind is kind])
        ]

    def headers(self, readings: Sequence[Reading], now_ms: int, retry_after_s: int | None = None) -> RawHeaders:
        """None where nothing is limited. `retry_after_s`: when a refused request may be tried again."""
        if not readings:
            return []
        lefts = [(reading.limit, reading.remaining, reading.resets_at_ms) for reading in readings]
        states = []
        for (start, per_unit), (_, remaining, resets_at_ms) in zip(self.starts, lefts, strict=True):
            left = remaining // per_unit
            wait_s = (resets_at_ms - now_ms + 999) // 1000
            if left == 0 and retry_after_s is not None and retry_after_s < wait_s:
                wait_s = retry_after_s
            states.append(f"{start}{left if left < LARGEST_INTEGER else LARGEST_INTEGER};t={wait_s if wait_s > 0 else 0}")
        return self.with_states(states, lefts, now_ms)

    def with_states(self, states: Iterable[str], lefts: Sequence[Left], now_ms: int) -> RawHeaders:
        """Of limits of which somebody has written the states of RateLimit already."""
        headers = [self._policies, (b"ratelimit", ", ".join(states).encode())]
        for (limit_name, remaining_name, reset_name), places in self._openai:
            tightest = lefts[places[0]] if len(places) == 1 else min((lefts[place] for place in places), key=_REMAINING)
            limit, remaining, resets_at_ms = tightest
            headers.append((limit_name, b"%d" % limit))
            headers.append((remaining_name, b"%d" % remaining))
            headers.append((reset_name, go_duration(max(0, resets_at_ms - now_ms)).encode()))
        return headers


@remembered(largest=20_000)
def policies_of(plan: Plan) -> Policies:
    return Policies(plan.limits)


def refusal_headers(verdict: Verdict) -> RawHeaders:
    headers: RawHeaders = []
    if verdict.plan is not None:
        headers += policies_of(verdict.plan).headers(verdict.readings, verdict.now_ms, verdict.retry_after_s)
    if verdict.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % verdict.retry_after_s))
    if verdict.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


def _names(limits: Iterable[PlannedLimit]) -> list[str]:
    """`virtual_key-tokens-1h`; where several would have the same name, the later ones carry their id."""
    names: list[str] = []
    for planned in limits:
        name = f"{planned.scope}-{planned.kind}-{planned.reset_duration}".encode("ascii", "replace").decode()
        names.append(name if name not in names else f"{name}-{planned.limit_id}")
    return names


def _policy(name: str, planned: PlannedLimit, limit: int) -> str:
    window_s = -(-planned.window.length_ms // 1000)
    quota = min(limit // _PER_UNIT[planned.kind], LARGEST_INTEGER)
    return f'"{name}";q={quota};w={window_s}{_UNITS[planned.kind]}'


def _openai_names(kind: LimitKind) -> tuple[bytes, bytes, bytes]:
    return f"x-ratelimit-limit-{kind}".encode(), f"x-ratelimit-remaining-{kind}".encode(), f"x-ratelimit-reset-{kind}".encode()


def go_duration(length_ms: int) -> str:
    """As Go writes durations: 250ms, 1s, 1.5s, 6m0s, 1h0m0s."""
    if 0 < length_ms < 1000:
        return f"{length_ms}ms"
    minutes, rest_ms = divmod(length_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest_ms // 1000}.{rest_ms % 1000:03}".rstrip("0").rstrip(".") if rest_ms % 1000 else str(rest_ms // 1000)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
