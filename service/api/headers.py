"""The headers that say what is left: RateLimit and RateLimit-Policy (IETF draft), x-ratelimit-* (OpenAI), Retry-After. Hot."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from service.api.at_once import header_lines
from service.quota.decision import Reading, Verdict
from service.remembered import remembered
from service.reservation import LimitKind, Plan, PlannedLimit

LARGEST_INTEGER: Final = 999_999_999_999_999
"""Of a structured field (RFC 9651): 15 digits."""

_UNITS: Final = {LimitKind.REQUESTS: "", LimitKind.TOKENS: ';qu="tokens"', LimitKind.BUDGET: ';qu="microusd"'}
"""The unit of a policy when it is not requests. Dollars would not be whole numbers, nano-dollars have too many digits."""

_PER_UNIT: Final = {LimitKind.REQUESTS: 1, LimitKind.TOKENS: 1, LimitKind.BUDGET: 1000}


class Policies:
    """Limits as headers name them: lines made and checked once, filled in for every answer."""

    def __init__(self, limits: Iterable[PlannedLimit]) -> None:
        self._shown = [planned for planned in limits if planned.limit is not None]
        self.names = _names(self._shown)
        self._per_unit = [_PER_UNIT[planned.kind] for planned in self._shown]
        quotas = [(planned.limit or 0) // per_unit for planned, per_unit in zip(self._shown, self._per_unit, strict=True)]
        self._are_cut = any(quota > LARGEST_INTEGER for quota in quotas)
        self._lines = _lines(
            tuple(
                _policy(name, planned, min(quota, LARGEST_INTEGER))
                for name, planned, quota in zip(self.names, self._shown, quotas, strict=True)
            ),
            tuple(self.names),
        )
        self._openai = [
            _openai_lines(kind, tuple((place, one.limit or 0) for place, one in enumerate(self._shown) if one.kind is kind))
            for kind in (LimitKind.REQUESTS, LimitKind.TOKENS)
            if any(planned.kind is kind for planned in self._shown)
        ]

    @property
    def names_by_limit(self) -> dict[PlannedLimit, str]:
        return dict(zip(self._shown, self.names, strict=True))

    def lines_of(self, readings: Sequence[Reading], now_ms: int) -> bytes:
        """`readings` are of the same limits in the same order."""
        return self.lines([reading.remaining for reading in readings], [reading.resets_at_ms for reading in readings], now_ms)

    def lines(self, left: Sequence[int], resets_at_ms: Iterable[int], now_ms: int, retry_after_s: int | None = None) -> bytes:
        """None where nothing is limited. What is left of each limit and when it resets; `retry_after_s`: when a refused request
        may be tried again.
        """
        if not left:
            return b""
        units = [one // per_unit for one, per_unit in zip(left, self._per_unit, strict=True)]
        if self._are_cut:
            units = [min(one, LARGEST_INTEGER) for one in units]
        # Whole seconds, never too early.
        waits_s = [(at_ms - now_ms + 999) // 1000 for at_ms in resets_at_ms]
        if min(waits_s) < 0:
            waits_s = [max(wait_s, 0) for wait_s in waits_s]
        resets_s = waits_s
        if retry_after_s is not None:
            resets_s = [wait_s if one else min(wait_s, retry_after_s) for one, wait_s in zip(units, waits_s, strict=True)]
        lines = self._lines % tuple(chain.from_iterable(zip(units, resets_s, strict=True)))
        for openai in self._openai:
            lines += openai.tell(left, waits_s)
        return lines


class _OpenAiLines:
    """Of all limits of one kind the tightest. `limits`: their places, and how much they allow."""

    def __init__(self, kind: LimitKind, limits: Sequence[tuple[int, int]]) -> None:
        self._lines = {place: _openai(kind, limit) for place, limit in limits}
        self._places = list(self._lines)

    def tell(self, left: Sequence[int], waits_s: Sequence[int]) -> bytes:
        place = min(self._places, key=left.__getitem__)
        return self._lines[place] % (left[place], _duration(waits_s[place]))


@remembered()
def policies_of(plan: Plan) -> Policies:
    return Policies(plan.limits)


def refusal_lines(verdict: Verdict) -> bytes:
    """Of a refusal, besides those of its limits."""
    if verdict.retry_after_s is not None:
        return header_lines([(b"retry-after", b"%d" % verdict.retry_after_s)])
    return header_lines([(b"www-authenticate", b"Bearer")]) if verdict.status == 401 else b""


@lru_cache(maxsize=10_000)
def _lines(policies: tuple[str, ...], names: tuple[str, ...]) -> bytes:
    """With gaps for what is left of each and when it resets. One for all plans that limit as much, as below: what is shared is
    still in the cache of the processor.
    """
    policy = ", ".join(policies).replace("%", "%%")
    states = ", ".join(['"{}";r=%d;t=%d'.format(name.replace("%", "%%")) for name in names])
    return header_lines([(b"ratelimit-policy", policy.encode()), (b"ratelimit", states.encode())])


@lru_cache(maxsize=10_000)
def _openai_lines(kind: LimitKind, limits: tuple[tuple[int, int], ...]) -> _OpenAiLines:
    return _OpenAiLines(kind, limits)


def _openai(kind: LimitKind, limit: int) -> bytes:
    """With gaps for what is left and for the time until it resets."""
    parts = (b"limit", b"%d" % limit), (b"remaining", b"%d"), (b"reset", b"%b")
    return header_lines([(b"x-ratelimit-%b-%b" % (part, kind.encode()), value) for part, value in parts])


def _names(limits: Iterable[PlannedLimit]) -> list[str]:
    """`virtual_key-tokens-1h`; where several would have the same name, the later ones carry their id."""
    names: list[str] = []
    for planned in limits:
        name = f"{planned.scope}-{planned.kind}-{planned.reset_duration}".encode("ascii", "replace").decode()
        names.append(name if name not in names else f"{name}-{planned.limit_id}")
    return names


def _policy(name: str, planned: PlannedLimit, quota: int) -> str:
    window_s = -(-planned.window.length_ms // 1000)
    return f'"{name}";q={quota};w={window_s}{_UNITS[planned.kind]}'


@lru_cache(maxsize=16_384)
def _duration(wait_s: int) -> bytes:
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
