"""Windows in Lua, on a real Redis, are the windows of service/windows.py to the millisecond."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha1

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import ResponseError

from service.durations import LONGEST_MS
from service.entities import Counter
from service.store.scripts import LUA, compose
from service.windows import CarryOver, Window, current, period_start_ms
from tests.carry_over import carry_over

Call = Callable[..., list[int]]

HOUR, DAY = 3_600_000, 86_400_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


edges = st.sampled_from(
    [
        ms(f"{year}-{day}") + offset
        for year in (1970, 1999, 2000, 2023, 2024, 2026, 2096, 2100, 2400)
        for day in ("01-01", "01-05", "02-28", "03-01", "04-01", "11-30", "12-31")
        for offset in (0, 1, DAY - 1, DAY, DAY + 1)
    ]
)
instants = st.one_of(st.integers(0, ms("2500-01-01")), edges)
windows = st.one_of(
    st.builds(Window, st.integers(1, 400 * DAY) | st.just(LONGEST_MS), st.just("")),
    st.builds(Window, st.just(DAY), st.sampled_from("dwMY")),
)
usages = st.integers(0, 2**53 - 1)


@pytest.fixture(scope="module")
def call(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Call]:
    """Calls an include with integers and words, and returns what it returns."""
    directory = tmp_path_factory.mktemp("lua")
    (directory / "includes").symlink_to(LUA / "includes")

    def script(include: str, args: tuple[int | str, ...]) -> str:
        passed = (f"tonumber(ARGV[{n}])" if isinstance(arg, int) else f"ARGV[{n}]" for n, arg in enumerate(args, start=1))
        text = f'--- @include "{include}"\nreturn {{ {include}({", ".join(passed)}) }}\n'
        # A script is composed once in a process, by its name.
        name = f"probe_{sha1(text.encode(), usedforsecurity=False).hexdigest()}"
        (directory / f"{name}.lua").write_text(text)
        return compose(name, directory)

    with Redis.from_url(redis_url) as redis:
        yield lambda include, *args: redis.eval(script(include, args), 0, *args)


@settings(max_examples=400)
@given(st.sampled_from("dwMY"), instants)
def test_period_start(call: Call, align: str, now_ms: int):
    assert call("period_start", align, now_ms) == [period_start_ms(align, now_ms)]


@settings(max_examples=400)
@given(usages, instants, instants, windows)
def test_current_window(call: Call, usage: int, last_reset_ms: int, now_ms: int, window: Window):
    expected = current(Counter(usage, last_reset_ms), window, now_ms)
    answer = call("current_window", usage, last_reset_ms, now_ms, window.length_ms, window.align)
    assert answer == [expected.usage, expected.last_reset_ms]


@settings(max_examples=400)
@given(instants, st.integers(1, 400 * DAY), st.integers(-2, 2))
def test_the_last_millisecond_of_a_rolling_window(call: Call, last_reset_ms: int, length_ms: int, off: int):
    now_ms = last_reset_ms + length_ms + off
    expected = current(Counter(1, last_reset_ms), Window(length_ms, ""), now_ms)
    assert call("current_window", 1, last_reset_ms, now_ms, length_ms, "") == [expected.usage, expected.last_reset_ms]


@settings(max_examples=400)
@given(usages, instants, instants, windows, st.none() | windows)
def test_carry_over(call: Call, usage: int, last_reset_ms: int, now_ms: int, was: Window, into: Window | None):
    edit = CarryOver(usage=None, last_reset_ms=None, was=was, into=into)
    expected = carry_over(Counter(usage, last_reset_ms), edit, now_ms)
    to = into or Window(0, "")
    answer = call("carry_over", usage, last_reset_ms, now_ms, was.length_ms, was.align, to.length_ms, to.align)
    assert answer == [expected.usage, expected.last_reset_ms]


def test_days_all_over_two_centuries(call: Call):
    for align in "dwMY":
        for now_ms in range(ms("1970-01-01"), ms("2170-01-01"), 61 * DAY + 11 * HOUR):
            assert call("period_start", align, now_ms) == [period_start_ms(align, now_ms)]


def test_an_unknown_period_is_an_error(call: Call):
    with pytest.raises(ResponseError, match="unknown period"):
        call("period_start", "Q", 0)
