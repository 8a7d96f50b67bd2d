"""The headers that say what is left: RateLimit and RateLimit-Policy (IETF draft), x-ratelimit-* (OpenAI), Retry-After. Hot."""

from collections.abc import Iterable, Sequence
from typing import Final

from service.quota.decision import Reading, Verdict
from service.reservation import LimitKind

RawHeaders = list[tuple[bytes, bytes]]

_LARGEST_INTEGER: Final = 999_999_999_999_999
"""Of a structured field (RFC 9651): 15 digits."""

_UNITS: Final = {LimitKind.REQUESTS: "", LimitKind.TOKENS: ';qu="tokens"', LimitKind.BUDGET: ';qu="microusd"'}
"""The unit of a policy when it is not requests. Dollars would not be whole numbers, nano-dollars have too many digits."""

_NANOUSD_PER_MICROUSD: Final = 1000


def limit_headers(readings: Sequence[Reading], now_ms: int, retry_after_s: int | None = None) -> RawHeaders:
    """Nothing when nothing is limited. `retry_after_s`: when a refused request may be tried again."""
    if not readings:
        return []
    policies = []
    states = []
    for name, reading in zip(policy_names(readings), readings, strict=True):
        planned = reading.planned
        window_s = _at_most(-(-planned.window.length_ms // 1000))
        policies.append(f'"{name}";q={_whole(planned.kind, reading.limit)};w={window_s}{_UNITS[planned.kind]}')
        wait_s = max(0, -(-(reading.resets_at_ms - now_ms) // 1000))
        if retry_after_s is not None and reading.remaining == 0:
            wait_s = min(wait_s, retry_after_s)
        states.append(f'"{name}";r={_whole(planned.kind, reading.remaining)};t={_at_most(wait_s)}')
    return [
        (b"ratelimit-policy", ", ".join(policies).encode()),
        (b"ratelimit", ", ".join(states).encode()),
        *_openai_headers(readings, now_ms, LimitKind.REQUESTS),
        *_openai_headers(readings, now_ms, LimitKind.TOKENS),
    ]


def refusal_headers(verdict: Verdict) -> RawHeaders:
    headers = limit_headers(verdict.readings, verdict.now_ms, verdict.retry_after_s)
    if verdict.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % verdict.retry_after_s))
    if verdict.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


def policy_names(readings: Iterable[Reading]) -> list[str]:
    """`virtual_key-tokens-1h`; where several would have the same name, the later ones carry their id."""
    names: list[str] = []
    for reading in readings:
        planned = reading.planned
        name = f"{planned.scope}-{planned.kind}-{planned.reset_duration}".encode("ascii", "replace").decode()
        names.append(name if name not in names else f"{name}-{planned.limit_id}")
    return names


def _openai_headers(readings: Iterable[Reading], now_ms: int, kind: LimitKind) -> RawHeaders:
    """Of the limit of this kind that has the least left."""
    of_kind = [reading for reading in readings if reading.planned.kind is kind]
    if not of_kind:
        return []
    tightest = min(of_kind, key=lambda reading: reading.remaining)
    noun = kind.encode()
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


def _whole(kind: LimitKind, amount: int) -> int:
    return _at_most(amount // _NANOUSD_PER_MICROUSD if kind is LimitKind.BUDGET else amount)


def _at_most(number: int) -> int:
    return min(number, _LARGEST_INTEGER)
