"""The headers that say what is left: RateLimit and RateLimit-Policy (IETF draft), x-ratelimit-* (OpenAI), Retry-After. Hot."""

from collections.abc import Iterable, Sequence
from typing import Final

from service.quota.decision import Reading, Verdict
from service.remembered import remembered
from service.reservation import LimitKind, Plan, PlannedLimit

RawHeaders = list[tuple[bytes, bytes]]

_LARGEST_INTEGER: Final = 999_999_999_999_999
"""Of a structured field (RFC 9651): 15 digits."""

_UNITS: Final = {LimitKind.REQUESTS: "", LimitKind.TOKENS: ';qu="tokens"', LimitKind.BUDGET: ';qu="microusd"'}
"""The unit of a policy when it is not requests. Dollars would not be whole numbers, nano-dollars have too many digits."""

_NANOUSD_PER_MICROUSD: Final = 1000


class Policies:
    """Limits as headers name them: made once, filled in for every answer. `readings` are of the same limits in the same order."""

    def __init__(self, limits: Iterable[PlannedLimit]) -> None:
        shown = [planned for planned in limits if planned.limit is not None]
        self.names = _names(shown)
        policies = ", ".join(_policy(name, planned, planned.limit or 0) for name, planned in zip(self.names, shown, strict=True))
        self._policies = (b"ratelimit-policy", policies.encode())

    def headers(self, readings: Sequence[Reading], now_ms: int, retry_after_s: int | None = None) -> RawHeaders:
        """None where nothing is limited. `retry_after_s`: when a refused request may be tried again."""
        if not readings:
            return []
        states = []
        tightest: dict[LimitKind, Reading] = {}
        for name, reading in zip(self.names, readings, strict=True):
            kind, remaining = reading.planned.kind, reading.remaining
            wait_s = -((now_ms - reading.resets_at_ms) // 1000) if reading.resets_at_ms > now_ms else 0
            if remaining == 0 and retry_after_s is not None and retry_after_s < wait_s:
                wait_s = retry_after_s
            states.append(f'"{name}";r={_whole(kind, remaining)};t={wait_s}')
            if kind not in tightest or remaining < tightest[kind].remaining:
                tightest[kind] = reading
        headers = [self._policies, (b"ratelimit", ", ".join(states).encode())]
        for kind, reading in tightest.items():
            if kind is not LimitKind.BUDGET:
                headers += _openai_headers(reading, now_ms)
        return headers


@remembered(largest=20_000)
def policies_of(plan: Plan) -> Policies:
    return Policies(plan.limits)


def limit_headers(readings: Sequence[Reading], now_ms: int, retry_after_s: int | None = None) -> RawHeaders:
    return Policies(reading.planned for reading in readings).headers(readings, now_ms, retry_after_s)


def policy_names(readings: Iterable[Reading]) -> list[str]:
    return Policies(reading.planned for reading in readings).names


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
    return f'"{name}";q={_whole(planned.kind, limit)};w={window_s}{_UNITS[planned.kind]}'


def _whole(kind: LimitKind, amount: int) -> int:
    if kind is LimitKind.BUDGET:
        return amount // _NANOUSD_PER_MICROUSD
    return amount if amount < _LARGEST_INTEGER else _LARGEST_INTEGER


def _openai_headers(tightest: Reading, now_ms: int) -> RawHeaders:
    """Of the limit of its kind that has the least left."""
    noun = tightest.planned.kind.encode()
    return [
        (b"x-ratelimit-limit-" + noun, b"%d" % tightest.limit),
        (b"x-ratelimit-remaining-" + noun, b"%d" % tightest.remaining),
        (b"x-ratelimit-reset-" + noun, go_duration(max(0, tightest.resets_at_ms - now_ms)).encode()),
    ]


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
