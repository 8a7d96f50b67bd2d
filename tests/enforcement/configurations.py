"""What hypothesis draws limits, amounts, leases and time from: small numbers, so that limits bind and windows end."""

from hypothesis import strategies as st

from tests.store.plans import DAY, HOUR, MINUTE

WINDOWS = ("7s", "1m", "1h", "1d", "1w", "1M", "1Y")
windows = st.sampled_from(WINDOWS)
amounts = st.one_of(st.integers(1, 12), st.integers(0, 70))
leases = st.sampled_from([1_000, 30_000, 10 * MINUTE, 2 * HOUR])
maxima = st.one_of(st.integers(1, 12), st.integers(1, 70))
budget_terms = st.lists(st.tuples(maxima, windows), max_size=2, unique_by=lambda terms: terms[1])
rate_terms = st.none() | st.tuples(st.none() | maxima, st.none() | st.integers(2, 9), windows, windows)
limit_terms = st.tuples(budget_terms, rate_terms)
some_limit_terms = st.tuples(
    st.lists(st.tuples(maxima, windows), min_size=1, max_size=2, unique_by=lambda terms: terms[1]),
    st.tuples(st.none() | maxima, st.none() | st.integers(2, 9), windows, windows),
)
jumps = st.one_of(
    st.sampled_from([0, 1, 999, 1_000, 7_000, MINUTE, 10 * MINUTE, HOUR, DAY, 31 * DAY, 366 * DAY]),
    st.integers(0, 2 * HOUR),
)

TERMS = st.fixed_dictionaries(
    {
        **dict.fromkeys(("customer", "team", "provider", "model", "config 2", "own"), limit_terms),
        **dict.fromkeys(("config 1", "one", "two"), some_limit_terms),
    }
)
"""Of each owner that the machine configures: its budgets, its rate limit."""
