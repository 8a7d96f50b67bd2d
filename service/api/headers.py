"""The headers that say what is left: RateLimit and RateLimit-Policy (IETF draft), x-ratelimit-* (OpenAI), Retry-After. Hot."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from service.quota.decision import Reading, Verdict
from service.remembered import remembered
from service.reservation import LimitKind, Plan, PlannedLimit

RawHeaders = list[tuple[bytes, bytes]]

Left = tuple[int, int]
"""What remains of a limit, and when it resets (milliseconds)."""

LARGEST_INTEGER: Final = 999_999_999_999_999
"""Of a structured field (RFC 9651): 15 digits."""

_UNITS: Final = {LimitKind.REQUESTS: "", LimitKind.TOKENS: ';qu="tokens"', LimitKind.BUDGET: ';qu="microusd"'}
"""The unit of a policy when it is not requests. Dollars would not be whole numbers, nano-dollars have too many digits."""

_PER_UNIT: Final = {LimitKind.REQUESTS: 1, LimitKind.TOKENS: 1, LimitKind.BUDGET: 1000}


class Policies:
    """Limits as headers name them: made once, filled in for every answer. `readings` are of the same limits in the same order."""

    def __init__(self, limits: Iterable[PlannedLimit]) -> None:
        shown = [planned for planned in limits if planned.limit is not None]
        self.names = _names(shown)
        named = list(zip(self.names, shown, strict=True))
        self._shown = shown
        policies = ", ".join(_policy(name, planned, planned.limit or 0) for name, planned in named)
        self._policies = (b"ratelimit-policy", policies.encode())
        self._starts = [_start(name, planned.kind) for name, planned in named]
        self._openai = [
            _openai_headers(kind, tuple((place, one.limit or 0) for place, one in enumerate(shown) if one.kind is kind))
            for kind in (LimitKind.REQUESTS, LimitKind.TOKENS)
            if any(planned.kind is kind for planned in shown)
        ]

    @property
    def names_by_limit(self) -> dict[PlannedLimit, str]:
        return dict(zip(self._shown, self.names, strict=True))

    def headers(self, readings: Sequence[Reading], now_ms: int, retry_after_s: int | None = None) -> RawHeaders:
        return self.tell([(reading.remaining, reading.resets_at_ms) for reading in readings], now_ms, retry_after_s)

    def tell(self, lefts: Sequence[Left], now_ms: int, retry_after_s: int | None = None) -> RawHeaders:
        """None where nothing is limited. `retry_after_s`: when a refused request may be tried again."""
        if not lefts:
            return []
        states = []
        for (start, per_unit), (remaining, resets_at_ms) in zip(self._starts, lefts, strict=True):
            units = remaining // per_unit
            # _wait_s, without a call for each limit.
            wait_s = (resets_at_ms - now_ms + 999) // 1000 if resets_at_ms > now_ms else 0
            if retry_after_s is not None and units == 0 and retry_after_s < wait_s:
                wait_s = retry_after_s
            states.append(f"{start}{units if units < LARGEST_INTEGER else LARGEST_INTEGER};t={wait_s}")
        headers = [self._policies, (b"ratelimit", ", ".join(states).encode())]
        for openai in self._openai:
            headers += openai.tell(lefts, now_ms)
        return headers


class _OpenAiHeaders:
    """Of all limits of one kind the tightest. `limits`: their places, and how much they allow."""

    def __init__(self, kind: LimitKind, limits: Sequence[tuple[int, int]]) -> None:
        limit_name, self._remaining_name, self._reset_name = (
            f"x-ratelimit-{part}-{kind}".encode() for part in ("limit", "remaining", "reset")
        )
        self._limits = {place: (limit_name, b"%d" % limit) for place, limit in limits}
        self._places = list(self._limits)

    def tell(self, lefts: Sequence[Left], now_ms: int) -> RawHeaders:
        place = self._places[0]
        for other in self._places:
            if lefts[other][0] < lefts[place][0]:
                place = other
        remaining, resets_at_ms = lefts[place]
        return [
            self._limits[place],
            (self._remaining_name, b"%d" % remaining),
            (self._reset_name, _reset(_wait_s(resets_at_ms, now_ms))),
        ]


@remembered()
def policies_of(plan: Plan) -> Policies:
    return Policies(plan.limits)


def refusal_headers(verdict: Verdict, of_limits: RawHeaders) -> RawHeaders:
    if verdict.retry_after_s is not None:
        return [*of_limits, (b"retry-after", b"%d" % verdict.retry_after_s)]
    if verdict.status == 401:
        return [*of_limits, (b"www-authenticate", b"Bearer")]
    return of_limits


@lru_cache(maxsize=10_000)
def _start(name: str, kind: LimitKind) -> tuple[str, int]:
    """How the state of a limit begins, and how much makes a unit of it; one for all plans, as below."""
    return f'"{name}";r=', _PER_UNIT[kind]


@lru_cache(maxsize=10_000)
def _openai_headers(kind: LimitKind, limits: tuple[tuple[int, int], ...]) -> _OpenAiHeaders:
    """One for all plans that limit as much: what is shared is still in the cache of the processor."""
    return _OpenAiHeaders(kind, limits)


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


def _wait_s(resets_at_ms: int, now_ms: int) -> int:
    """Whole seconds, never too early."""
    return (resets_at_ms - now_ms + 999) // 1000 if resets_at_ms > now_ms else 0


@lru_cache(maxsize=16_384)
def _reset(wait_s: int) -> bytes:
    return go_duration(wait_s * 1000).encode()


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
