"""What pricing adds to a decision: `python -m bench.pricing` prints microseconds per call on one processor, no Redis involved.

Every figure is the best of several runs: other work on the machine only ever adds time.
"""

import timeit
from collections.abc import Callable

from service.entities import PricingOverride
from service.models.enforcement import Usage as UsageMembers
from service.pricing.book import Prices
from service.pricing.cost import cost_nanousd, sum_nanousd, working
from service.pricing.usage import Usage, usage_of
from service.store.prices import StoredPrices

NOW_MS = 1_795_000_000_000
RUNS = 7
CALLS = 20_000
KEYS = 2_000


def override(number: int) -> PricingOverride:
    """Many keys with several overrides each, of prefixes of many lengths."""
    return PricingOverride(
        id=f"{number}",
        name=f"{number}",
        scope_kind="virtual_key",
        virtual_key_id=f"key-{number % KEYS}",
        match_type="wildcard",
        pattern=f"gpt-4o{'x' * (number // KEYS)}*",
        request_types=("chat_completion", "responses"),
        patch={"input_cost_per_token": 1e-6},
        created_at_ms=NOW_MS,
        updated_at_ms=NOW_MS,
    )


def prices(overrides: int) -> Prices:
    return Prices(StoredPrices(tuple(map(override, range(overrides))), None), lambda: NOW_MS)


def measure(call: Callable[[], object]) -> float:
    return min(timeit.repeat(call, number=CALLS, repeat=RUNS)) / CALLS * 1e6


def main() -> None:
    few, many = prices(0), prices(10_000)
    sent = UsageMembers.model_validate({"input_tokens": 1_000, "output_tokens": 500, "cached_input_tokens": 400})
    usage = usage_of(sent)
    price = few.price("gpt-4o", "openai", "chat_completion")
    assert price is not None

    def charge(book: Prices) -> int:
        found = book.price("gpt-4o", "openai", "chat_completion", "key-7")
        assert found is not None
        return sum_nanousd(working(found.rates, usage_of(sent), "chat_completion"))

    estimate = Usage(input_tokens=1_000, output_tokens=500)
    rows: list[tuple[str, Callable[[], object]]] = [
        ("cost of a chat request, prompt and answer", lambda: cost_nanousd(price.rates, estimate, "chat_completion")),
        ("cost of a chat request with a cached prompt", lambda: cost_nanousd(price.rates, usage, "chat_completion")),
        ("price that was asked for before", lambda: few.price("gpt-4o", "openai", "chat_completion", "key-7")),
        ("the same with 10,000 overrides", lambda: many.price("gpt-4o", "openai", "chat_completion", "key-7")),
        (
            "which of 10,000 overrides applies",
            lambda: many.overrides.find(("gpt-4o",), "openai", "chat_completion", "key-7", None),
        ),
        ("all that a settle adds: price, usage, cost", lambda: charge(few)),
        ("the same with 10,000 overrides", lambda: charge(many)),
    ]
    for title, call in rows:
        print(f"{measure(call):8.2f} us  {title}")


if __name__ == "__main__":
    main()
