"""Log lines: one JSON object each, readable text when asked, and nothing secret in either."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from service import logs
from service.logs import configure_logging
from service.settings import Settings

log = logging.getLogger("quotad.tests.logs")
VIRTUAL_KEY = "sk-bf-0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture(autouse=True)
def _restored_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")]
    before = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    yield
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = propagate
    logging.captureWarnings(False)


def _capture(log_format: Literal["auto", "json", "text"] = "auto", **settings: Any) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(Settings(log_format=log_format, **settings), stream)
    return stream


def test_a_sparing_log_says_how_much_it_left_out(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(logs, "monotonic", lambda: now)
    stream = _capture()
    sparing = logs.ThrottledLog(log)
    for second in (1.0, 1.1, 1.9, 2.0, 3.5):
        now = second
        sparing.warning("away since %s", second)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["message"], line.get("left_out")) for line in lines] == [
        ("away since 1.0", None),
        ("away since 2.0", 2),
        ("away since 3.5", None),
    ]


def test_a_line_is_one_json_object():
    stream = _capture()
    log.warning("Redis took %d ms\nto answer", 300, extra={"script": "read_quota", "attempt": 2})
    line = json.loads(stream.getvalue())
    assert stream.getvalue().count("\n") == 1
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "quotad.tests.logs",
        "message": "Redis took 300 ms\nto answer",
        "script": "read_quota",
        "attempt": 2,
    }


def test_an_exception_stays_in_its_line():
    stream = _capture()
    try:
        raise ValueError(f"bad {VIRTUAL_KEY}")
    except ValueError:
        log.exception("It broke")
    line = json.loads(stream.getvalue())
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: bad sk-bf-***")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_is_written(log_format: Literal["json", "text"]):
    stream = _capture(log_format, admin_token=("token", "token-two"), gateway_token=("gate",), redis_url="redis://me:p%40ss@db/0")
    log.error("token token-two gate p@ss p%%40ss %s", VIRTUAL_KEY, extra={"header": f"Bearer {VIRTUAL_KEY}", "also": ["token"]})
    written = stream.getvalue()
    for secret in ("token", "gate", "p@ss", "p%40ss", "0f8fad5b"):
        assert secret not in written
    assert "*** *** *** *** *** sk-bf-***" in written


def test_text_is_for_people():
    stream = _capture("text")
    log.info("Hello", extra={"port": 8080})
    assert stream.getvalue().endswith(" info quotad.tests.logs: Hello port=8080\n")
    assert "\x1b" not in stream.getvalue()


def test_what_callers_send_is_no_line_of_its_own_and_steers_no_terminal():
    stream = _capture("text")
    try:
        raise ValueError("a\x1b[2J")
    except ValueError:
        log.exception("/authorize/x\n12:00:00.000 error quotad: forged\x1b[31m\x9b1m \u2028", extra={"of": "b\r"})
    lines = stream.getvalue().splitlines()
    assert lines[0].endswith(r": /authorize/x\n12:00:00.000 error quotad: forged\x1b[31m\x9b1m \u2028 of=b\r")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == r"ValueError: a\x1b[2J"


def test_a_terminal_gets_text():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    configure_logging(Settings(), stream)
    log.warning("Careful")
    assert stream.getvalue().endswith(" warning quotad.tests.logs: Careful\x1b[0m\n")


@pytest.mark.parametrize("level, written", [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_the_level_is_a_setting(level: str, written: int):
    stream = _capture(log_level=level)
    log.debug("a")
    log.info("b")
    log.warning("c")
    assert stream.getvalue().count("\n") == written


def test_uvicorn_writes_through_the_same_handler_and_only_what_matters():
    stream = _capture()
    logging.getLogger("uvicorn.error").info("Started server process [1]")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["Exception in ASGI application"]
