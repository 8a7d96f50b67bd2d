"""The load test with Locust runs, says whether limits held, and leaves nothing behind, also when it is interrupted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.plain_http import ask
from bench.servers import quotad, redis_server
from bench.traffic import ADMIN_TOKEN, GATEWAY_TOKEN, get

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ExitStack() as stack:
        url = stack.enter_context(redis_server(tmp_path_factory.mktemp("redis")))
        yield stack.enter_context(quotad(url)).url


def locust(host: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "locust", "-f", "bench/locustfile.py", "--host", host, "--headless", "-u", "4", *arguments]
    given = {"QUOTAD_ADMIN_TOKEN": ADMIN_TOKEN, "QUOTAD_GATEWAY_TOKEN": GATEWAY_TOKEN, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def keys_left(host: str) -> int:
    path = "/api/governance/virtual-keys?search=locust-"
    return int(ask(host, [get(path, {"authorization": f"Bearer {ADMIN_TOKEN}"})])[0].json()["total_count"])


def test_every_scenario_is_exact(host: str):
    process = locust(host, "-t", "3s", "--limit", "20", "--keys", "20", "--trace-speed", "20")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    for scenario in ("reserve_settle", "hot_tenant", "spread", "refused", "batch"):
        assert f"{scenario}: exact" in said, said
    assert "NOT " not in said
    assert keys_left(host) == 0


def test_a_trace_is_replayed(host: str, tmp_path: Path):
    lines = [f"2023-11-16 18:15:46.{number:02}00000,{100 + number},20\n" for number in range(50)]
    trace = tmp_path / "trace.csv"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(lines))
    process = locust(host, "-t", "2s", "--tags", "trace", "--trace", str(trace), "--trace-speed", "2", "--shape", "spike")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "trace: exact" in said


def test_an_interrupted_run_ends_like_any_other(host: str):
    process = locust(host, "-t", "60s", "--tags", "hot_tenant", "--limit", "20")
    assert process.stdout is not None
    # It tells every other second how its calls came out.
    next(line for line in process.stdout if "hot_tenant reserve (refused)" in line)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert "hot_tenant: exact" in said, said
    assert "401" not in said
    assert keys_left(host) == 0


@pytest.mark.parametrize(
    "lines, told",
    [
        (None, "No such file or directory"),
        ("time,tokens\n1,2\n", "line 2 is no line of TIMESTAMP,ContextTokens,GeneratedTokens"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "holds no requests"),
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,2\n2023-11-16 18:15:47,many,2\n",
            "line 3 is no line of TIMESTAMP,ContextTokens,GeneratedTokens",
        ),
    ],
)
def test_a_file_that_is_no_trace_ends_the_run_before_it_begins(host: str, tmp_path: Path, lines: str | None, told: str):
    trace = tmp_path / "trace.csv"
    if lines is not None:
        trace.write_text(lines)
    process = locust(host, "-t", "5s", "--tags", "trace", "--trace", str(trace))
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert told in said
    assert len(said) < 2_000


def test_nothing_is_exact_where_nothing_was_answered(host: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.bench.test_locust.GATEWAY_TOKEN", "wrong")
    process = locust(host, "-t", "2s", "--tags", "reserve_settle")
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "reserve_settle: NOT KNOWN" in said
    assert keys_left(host) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_while_keys_are_made_leaves_none(host: str, number: signal.Signals):
    process = locust(host, "-t", "5s", "--tags", "spread", "--keys", "20000")
    assert process.stdout is not None
    next(line for line in process.stdout if "making" in line)
    time.sleep(1)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "nothing to test with: stopped" in said
    assert keys_left(host) == 0


def test_the_exit_status_tells_of_workers_that_had_nothing_to_test_with(host: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.bench.test_locust.ADMIN_TOKEN", "wrong")
    process = locust(host, "-t", "2s", "--tags", "hot_tenant", "--processes", "2")
    said, _ = process.communicate(timeout=60)
    assert "nothing to test with" in said
    assert process.returncode == 1, said


def test_a_service_that_went_away_is_told_in_a_sentence(tmp_path: Path):
    with redis_server(tmp_path) as url:
        with quotad(url) as server:
            process = locust(server.url, "-t", "6s", "--tags", "reserve_settle")
            assert process.stdout is not None
            next(line for line in process.stdout if "(admitted)" in line)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "NOT KNOWN whether limits held" in said
    assert "are left behind" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--tags", "nosuch"], "the tags leave none of quota_read, "),
        (["--keys", "-1"], "invalid count value: '-1'"),
        (["--trace-speed", "0"], "invalid speed value: '0'"),
    ],
)
def test_wrong_options_are_told_in_a_sentence(host: str, arguments: list[str], told: str):
    process = locust(host, "-t", "2s", *arguments)
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert told in said
    assert "Traceback" not in said
