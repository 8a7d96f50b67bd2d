"""Samples of a worker's stack, and the parts they are counted for."""

from collections import Counter
from pathlib import Path

from bench.profile import by_function, by_part, shares, stacks_of

ROOT = Path(__file__).parents[2]
LOOP = "run (/lib/asyncio/runners.py:9)"
RAW = f"""\
{LOOP};on_body (/lib/uvicorn/protocols/http.py:7);reserve ({ROOT}/service/quota/reserve.py:66) 30
{LOOP};reserve (/src/service/quota/reserve.py:6);encode_calls (/src/service/store/plans.py:9) 20
{LOOP};pack (/lib/redis/connection.py:1);join (/lib/site-packages/text/one.py:2) 40
{LOOP} 10
"""


def test_a_sample_counts_for_the_innermost_part():
    assert by_part(stacks_of(RAW)) == {
        "decision": 30,
        "what scripts are told, what they answered": 20,
        "Redis call and merging": 40,
        "event loop and sockets": 10,
    }


def test_functions_are_named_without_the_machine():
    assert by_function(stacks_of(RAW)) == {
        "reserve (service/quota/reserve.py)": 30,
        "encode_calls (store/plans.py)": 20,
        "join (text/one.py)": 40,
        "run (asyncio/runners.py)": 10,
    }


def test_shares_come_largest_first():
    assert shares(Counter({"a": 1, "b": 3})) == [("b", 0.75), ("a", 0.25)]
