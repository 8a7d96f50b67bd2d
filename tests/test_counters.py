"""Which counters an owner has: its own, and of a virtual key those of its parts."""

from service.counters import windows_of_counters
from service.windows import window_of
from tests.enforcement.world import Limits, model_config, provider_config, team, virtual_key


def test_every_limit_of_a_key_and_its_parts():
    limits = Limits()
    key = virtual_key(
        "key",
        calendar_aligned=True,
        budgets=(limits.budget(1, "1d"),),
        rate_limit=limits.rate(1, 1, "1h", "1w"),
        provider_configs=(
            provider_config(1, budgets=(limits.budget(1, "1M"),)),
            provider_config(2, rate_limit=limits.rate(1, 1)),
        ),
        model_configs=(model_config("own", budgets=(limits.budget(1, "30m"),)),),
    )
    assert windows_of_counters(key) == {
        (1, "budget 1"): window_of("1d", True),
        (2, "rate limit 2"): window_of("1h", True),
        (3, "rate limit 2"): window_of("1w", True),
        (4, "budget 4"): window_of("1M", True),
        (5, "rate limit 5"): window_of("1d", True),
        (6, "rate limit 5"): window_of("1d", True),
        (7, "budget 7"): window_of("30m", True),
    }


def test_a_budget_follows_the_calendar_by_itself_too():
    limits = Limits()
    budgets = (limits.budget(1, "1d"), limits.budget(1, "1d", aligned=True))
    assert windows_of_counters(team("team", budgets=budgets)) == {
        (1, "budget 1"): window_of("1d", False),
        (2, "budget 2"): window_of("1d", True),
    }
