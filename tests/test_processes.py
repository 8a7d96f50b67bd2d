"""The processes of `quotad serve`: workers, their supervisor, the embedded Redis, and how they end."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from service import metrics_directory
from service.server import STALL_S
from tests.serving import FROM_CHECKOUT, environment_with, eventually, processes_in, run, serve


def _workers_of(supervisor: int) -> set[int]:
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return {int(child) for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()}


def test_a_worker_that_was_killed_is_replaced_and_told_of(tmp_path: Path, redis_url: str):
    with serve("--workers", "2", "--redis-url", redis_url, cwd=tmp_path) as served:
        assert eventually(lambda: len(_workers_of(served.process.pid)) == 2)
        before = _workers_of(served.process.pid)
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        assert eventually(lambda: len(_workers_of(served.process.pid) - before) == 1)
        assert eventually(lambda: served.get("/readyz").status_code == 200)
        _, last_words = served.stop(signal.SIGTERM)
    assert f"worker {killed} ended (-9) and was replaced" in last_words


@pytest.mark.slow
def test_a_worker_that_pauses_for_some_seconds_is_not_replaced(tmp_path: Path, redis_url: str):
    """As one does that starts on a busy machine."""
    with serve("--workers", "2", "--redis-url", redis_url, cwd=tmp_path) as served:
        assert eventually(lambda: len(_workers_of(served.process.pid)) == 2)
        before = _workers_of(served.process.pid)
        os.kill(min(before), signal.SIGSTOP)
        time.sleep(7)
        os.kill(min(before), signal.SIGCONT)
        time.sleep(1)
        assert _workers_of(served.process.pid) == before
        assert served.stop(signal.SIGTERM) == (0, "Stopped.\n")


def test_metrics_are_told_while_a_worker_starts_and_nothing_is_left_behind(tmp_path: Path, redis_url: str):
    """A file that a worker has just made is empty; whoever was killed has left a directory."""
    shared = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
    ended = subprocess.Popen(["true"])
    ended.wait()
    left_over = shared / f"quotad-metrics-{ended.pid}-x"
    left_over.mkdir()
    with serve("--workers", "2", "--redis-url", redis_url, cwd=tmp_path) as served:
        assert not left_over.exists()
        (own,) = shared.glob(f"quotad-metrics-{served.process.pid}-*")
        (own / "counter_999999.db").touch()
        answer = served.get("/metrics")
        assert (answer.status_code, "quotad_uncharged_total" in answer.text) == (200, True)
        assert served.stop(signal.SIGTERM)[0] == 0
    assert not own.exists()


@pytest.mark.parametrize("process", ["9" * 30, "\N{SUPERSCRIPT TWO}", ""])
def test_directories_of_others_do_not_stop_the_start(tmp_path: Path, process: str, monkeypatch: pytest.MonkeyPatch):
    """Everybody may make one in /dev/shm."""
    monkeypatch.setattr(metrics_directory, "_SHARED_MEMORY", str(tmp_path))
    theirs = tmp_path / f"quotad-metrics-{process}-x"
    theirs.mkdir()
    with metrics_directory.metrics_of(2):
        assert theirs.exists()
        assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == [theirs]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_impatient_ctrl_c_changes_nothing(tmp_path: Path, workers: int):
    with serve("--workers", str(workers), cwd=tmp_path) as served:
        for _ in range(2):
            os.killpg(served.process.pid, signal.SIGINT)
            time.sleep(0.05)
        assert served.stop(signal.SIGINT) == (0, "Stopped.\n")
    assert processes_in(tmp_path) == set()


def test_a_signal_while_the_event_loop_is_closed_changes_nothing(tmp_path: Path):
    impatient = """
import signal, sys
from asyncio import runners
from service.cli import main

cancel_all = runners._cancel_all_tasks

def cancel_all_and_ask_again(loop):
    if "uvloop" in type(loop).__module__:
        signal.raise_signal(signal.SIGTERM)
    cancel_all(loop)

runners._cancel_all_tasks = cancel_all_and_ask_again
sys.exit(main())
"""
    with serve("--workers", "1", cwd=tmp_path, program=(sys.executable, "-c", impatient)) as served:
        assert served.stop(signal.SIGTERM) == (0, "Stopped.\n")


def test_several_workers_stop_together(tmp_path: Path):
    with serve("--workers", "2", cwd=tmp_path) as served:
        assert "with 2 workers" in served.said
        assert served.get("/livez").status_code == 200
        assert served.stop(signal.SIGINT) == (0, "Stopped.\n")
    assert processes_in(tmp_path) == set()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_end_of_the_terminal_is_as_good_as_ctrl_c(tmp_path: Path, workers: str):
    # Whoever runs the tests with nohup passes on that it is ignored.
    on_terminal = "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    program = (sys.executable, "-c", f"{on_terminal}; from service.cli import main; sys.exit(main())")
    with serve("--workers", workers, cwd=tmp_path, program=program) as served:
        assert served.get("/livez").status_code == 200
        assert served.stop(signal.SIGHUP) == (0, "Stopped.\n")
    assert processes_in(tmp_path) == set()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_nohup_outlives_the_terminal(tmp_path: Path, workers: str):
    with serve("--workers", workers, cwd=tmp_path, program=("nohup", *FROM_CHECKOUT)) as served:
        os.killpg(served.process.pid, signal.SIGHUP)
        time.sleep(0.5)
        assert served.get("/readyz").status_code == 200
        assert served.stop(signal.SIGTERM)[0] == 0


def _refuses_connections(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        pass
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_who_comes_while_it_stops_is_refused(tmp_path: Path, workers: str):
    """In a backlog he would wait for nobody, until the last request in flight has ended."""
    with serve("--workers", workers, cwd=tmp_path) as served:
        address = ("127.0.0.1", int(served.url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=10) as in_flight:
            head = "POST /api/governance/quota/settle HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2"
            in_flight.sendall(f"{head}\r\n\r\n".encode())
            assert in_flight.recv(100).startswith(b"HTTP/1.1 100 Continue")  # a worker has begun to read it
            in_flight.sendall(b"{")
            served.process.send_signal(signal.SIGTERM)
            assert eventually(lambda: _refuses_connections(address), within_s=5)
            assert served.process.poll() is None
            in_flight.sendall(b"}")
            assert in_flight.recv(100).startswith(b"HTTP/1.1 4")
        assert served.wait_for_last_words() == "Stopped.\n"
        assert served.process.wait(30) == 0


def test_a_worker_that_starts_leaves_the_terminal_to_its_supervisor(tmp_path: Path, redis_url: str):
    with serve("--workers", "2", "--redis-url", redis_url, cwd=tmp_path) as served:
        assert eventually(lambda: len(_workers_of(served.process.pid)) == 2)
        before = _workers_of(served.process.pid)
        os.kill(min(before), signal.SIGKILL)
        assert eventually(lambda: len(_workers_of(served.process.pid) - before) == 1)
        (starting,) = _workers_of(served.process.pid) - before
        for from_terminal in (signal.SIGINT, signal.SIGHUP):
            os.kill(starting, from_terminal)
        time.sleep(2)
        assert starting in _workers_of(served.process.pid)
        _, last_words = served.stop(signal.SIGTERM)
    assert "Traceback" not in last_words


def test_a_worker_that_hangs_does_not_keep_the_others_from_ending(tmp_path: Path):
    impatient = "import sys; from service import cli, server; server.GRACE_S = server.OVERTIME_S = 1; sys.exit(cli.main())"
    with serve("--workers", "2", cwd=tmp_path, program=(sys.executable, "-c", impatient)) as served:
        assert eventually(lambda: len(_workers_of(served.process.pid)) == 2)
        hanging = min(_workers_of(served.process.pid))
        os.kill(hanging, signal.SIGSTOP)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) == 0
        last_words = served.wait_for_last_words()
    assert f"worker {hanging} did not end and was killed" in last_words
    assert last_words.endswith("Stopped.\n")
    assert processes_in(tmp_path) == set()


def test_workers_that_hang_do_not_keep_a_signal_waiting(tmp_path: Path):
    impatient = "import sys; from service import cli, server; server.GRACE_S = server.OVERTIME_S = 1; sys.exit(cli.main())"
    with serve("--workers", "2", cwd=tmp_path, program=(sys.executable, "-c", impatient)) as served:
        assert eventually(lambda: len(_workers_of(served.process.pid)) == 2)
        for hanging in _workers_of(served.process.pid):
            os.kill(hanging, signal.SIGSTOP)
        # By then they are asked whether they are there.
        time.sleep(1.5)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(STALL_S - 2) == 0
    assert processes_in(tmp_path) == set()


def test_workers_and_redis_end_when_the_supervisor_is_killed(tmp_path: Path):
    with serve("--workers", "2", cwd=tmp_path) as served:
        assert len(processes_in(tmp_path)) >= 4
        served.process.kill()
        assert eventually(lambda: processes_in(tmp_path) == set())
    with serve(cwd=tmp_path) as served:
        assert served.get("/readyz").status_code == 200
        assert served.stop(signal.SIGINT)[0] == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("redis", [[], ["--redis-url", "redis://127.0.0.1:1/0"]], ids=["its own Redis", "another Redis"])
def test_an_application_that_cannot_be_imported_ends_the_start(tmp_path: Path, workers: str, redis: list[str]):
    """`python -m` looks in the working directory first."""
    (tmp_path / "genai_prices.py").write_text("raise ImportError('the installation is broken')")
    result = run("serve", "--port", "0", "--workers", workers, *redis, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout.endswith("The server did not start.\n")
    assert "The application cannot be made" in result.stderr
    assert "the installation is broken" in result.stderr
    assert processes_in(tmp_path) == set()


def test_ctrl_c_while_redis_loads_and_the_application_is_imported(tmp_path: Path):
    imports_for_long = "server.import_application = lambda: (print('importing', flush=True), time.sleep(60))"
    # As on a terminal: whoever runs the tests in the background of a script passes on that Ctrl-C is ignored.
    on_terminal = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    serves = "from service.cli import main; sys.exit(main())"
    program = f"import sys, time; {on_terminal}; from service import server; {imports_for_long}; {serves}"
    with subprocess.Popen(
        [sys.executable, "-c", program, "serve", "--port", "0"],
        cwd=tmp_path,
        env=environment_with(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        assert len(processes_in(tmp_path)) == 2
        process.send_signal(signal.SIGINT)
        assert (process.communicate(timeout=30)[0], process.returncode) == ("", 0)
    assert processes_in(tmp_path) == set()
