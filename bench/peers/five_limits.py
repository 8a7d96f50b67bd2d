"""The five limits that every peer counts, and the script that one writes by hand to count them."""

from typing import Final

OWNERS: Final = ("customer", "team", "key", "provider", "model")
"""In the order in which a library that takes limits one after another takes them."""
WINDOW_S: Final = 86_400
ENDLESS: Final = 10**9

LAST_LIMIT: Final = "BENCH_LAST_LIMIT"
"""Environment: requests that the last of the five allows."""
TOKEN_LIMIT: Final = 1_000
TOKENS_OF_A_REQUEST: Final = 100
THINKING_S: Final = 0.05
"""How long a model takes to answer; only then is it known how many tokens there were."""

TAKE_ALL_OR_NONE: Final = """
for place, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or 0) >= tonumber(ARGV[2 * place - 1]) then
    return place
  end
end
for place, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 then
    redis.call('EXPIRE', key, ARGV[2 * place])
  end
end
return 0
"""


def limits_of(last_limit: int) -> list[int]:
    return [ENDLESS] * (len(OWNERS) - 1) + [last_limit]


def names_of(caller: str) -> list[str]:
    return [f"{owner}:{caller}" for owner in OWNERS]


def script_arguments(last_limit: int) -> list[int]:
    return [argument for limit in limits_of(last_limit) for argument in (limit, WINDOW_S)]
