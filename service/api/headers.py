"""The headers that say what is left: RateLimit and RateLimit-Policy (IETF draft), x-ratelimit-* (OpenAI), Retry-After. Hot."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import floordiv
from typing import Final, NamedTuple

import orjson

from service.api.at_once import CHALLENGE, header_lines
from service.api.rendering.templates import PLACEHOLDER, fill, template_of
from service.quota.decision import Reading, Verdict
from service.reservation import LimitKind, PlannedLimit

LARGEST_INTEGER: Final = 999_999_999_999_999
"""Of a structured field (RFC 9651): 15 digits."""

_UNITS: Final = {LimitKind.REQUESTS: "", LimitKind.TOKENS: ';qu="tokens"', LimitKind.BUDGET: ';qu="microusd"'}
"""The unit of a policy when it is not requests. Dollars would not be whole numbers, nano-dollars have too many digits."""

_OPENAI_KINDS: Final = (LimitKind.REQUESTS, LimitKind.TOKENS)

_PER_UNIT: Final = {LimitKind.REQUESTS: 1, LimitKind.TOKENS: 1, LimitKind.BUDGET: 1000}

_CHALLENGE_LINE: Final = header_lines([CHALLENGE])


class PolicyLines:
    """The header lines of some limits: made and checked once, filled in for every answer."""

    __slots__ = ("_are_cut", "_limits", "_openai", "_parts", "_per_unit")

    def __init__(self, policies: Sequence["_Policy"]) -> None:
        self._per_unit = [_PER_UNIT[policy.kind] for policy in policies]
        self._are_cut = any(policy.quota > LARGEST_INTEGER for policy in policies)
        of_kind = {kind: [place for place, policy in enumerate(policies) if policy.kind is kind] for kind in _OPENAI_KINDS}
        self._openai = [places for places in of_kind.values() if places]
        """Places of the limits of each kind that x-ratelimit-* know: they tell the tightest."""
        self._limits = [b"%d" % policy.quota for policy in policies]
        openai = b"".join([_openai_lines(kind) for kind, places in of_kind.items() if places])
        self._parts = template_of(_lines(policies) + openai)

    def fill_with(self, readings: Sequence[Reading], now_ms: int) -> bytes:
        """`readings` are of the same limits in the same order."""
        return self.fill([reading.remaining for reading in readings], [reading.resets_at_ms for reading in readings], now_ms)

    def fill(
        self,
        left: Sequence[int],
        resets_at_ms: Iterable[int],
        now_ms: int,
        over: Iterable[int] = (),
        retry_after_s: int | None = None,
    ) -> bytes:
        """Empty where nothing is limited. What is left of each limit and when it resets. `over`: places of those that refused a
        request; `retry_after_s`: when they will admit it, as what it needs of them is back by then.
        """
        if not left:
            return b""
        units = list(map(floordiv, left, self._per_unit))
        if self._are_cut:
            units = [min(one, LARGEST_INTEGER) for one in units]
        # Whole seconds, never too early.
        since_ms = now_ms - 999
        waits_s = [(at_ms - since_ms) // 1000 for at_ms in resets_at_ms]
        if min(waits_s) < 0:
            waits_s = [max(wait_s, 0) for wait_s in waits_s]
        resets_s = waits_s
        if retry_after_s is not None:
            resets_s = waits_s.copy()
            for place in over:
                resets_s[place] = min(waits_s[place], retry_after_s)
        numbers = [0] * (2 * len(units))
        numbers[::2], numbers[1::2] = units, resets_s
        texts = orjson.dumps(numbers)[1:-1].split(b",")
        for places in self._openai:
            tightest = min(places, key=left.__getitem__)
            texts += (self._limits[tightest], b"%d" % left[tightest], _duration(waits_s[tightest]))
        return fill(self._parts, texts)


def policy_lines(limits: Iterable[PlannedLimit]) -> PolicyLines:
    """Of those that limit something."""
    named = names_of(limits)
    return _policy_lines(
        tuple([_Policy(name, planned.kind, planned.limit or 0, planned.window.period_ms) for planned, name in named])
    )


def names_of(limits: Iterable[PlannedLimit]) -> list[tuple[PlannedLimit, str]]:
    """`virtual_key-tokens-1h`, of what limits something; where several would have the same, the later ones carry their id."""
    named: list[tuple[PlannedLimit, str]] = []
    taken: set[str] = set()
    for planned in limits:
        if planned.limit is not None:
            name = _name(planned.scope, planned.kind, planned.reset_duration)
            if name in taken:
                name = f"{name}-{planned.limit_id}"
            taken.add(name)
            named.append((planned, name))
    return named


@lru_cache(maxsize=4096)
def _name(scope: str, kind: LimitKind, duration: str) -> str:
    return f"{scope}-{kind}-{duration}".encode("ascii", "replace").decode()


def refusal_lines(verdict: Verdict) -> bytes:
    """Of a refusal, besides those of its limits."""
    if verdict.retry_after_s is not None:
        return b"retry-after: %d\r\n" % verdict.retry_after_s
    return _CHALLENGE_LINE if verdict.status == 401 else b""


class _Policy(NamedTuple):
    name: str
    kind: LimitKind
    limit: int
    window_ms: int

    @property
    def quota(self) -> int:
        """In units of the header."""
        return self.limit // _PER_UNIT[self.kind]

    @property
    def window_s(self) -> int:
        return -(-self.window_ms // 1000)


@lru_cache(maxsize=10_000)
def _policy_lines(policies: tuple[_Policy, ...]) -> PolicyLines:
    """One for all plans that limit as much: what is shared is still in the cache of the processor."""
    return PolicyLines(policies)


def _lines(policies: Sequence[_Policy]) -> bytes:
    """With placeholders for what is left of each and when it resets."""
    quotas = [
        f'"{policy.name}";q={min(policy.quota, LARGEST_INTEGER)};w={policy.window_s}{_UNITS[policy.kind]}' for policy in policies
    ]
    states = [b'"%b";r=%b;t=%b' % (policy.name.encode(), PLACEHOLDER, PLACEHOLDER) for policy in policies]
    return header_lines([(b"ratelimit-policy", ", ".join(quotas).encode()), (b"ratelimit", b", ".join(states))])


def _openai_lines(kind: LimitKind) -> bytes:
    """With placeholders for the limit, for what is left and for the time until it resets."""
    return header_lines(
        [(b"x-ratelimit-%b-%b" % (part, kind.encode()), PLACEHOLDER) for part in (b"limit", b"remaining", b"reset")]
    )


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
