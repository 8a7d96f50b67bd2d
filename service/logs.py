"""Log lines on stderr: one JSON object each, or readable text on a terminal; never a token or a virtual key."""

import logging
import re
import sys
from datetime import UTC, datetime
from time import monotonic
from typing import Final, TextIO

import orjson

from service.settings import VIRTUAL_KEY_PREFIX, Settings

_VIRTUAL_KEY: Final = re.compile(re.escape(VIRTUAL_KEY_PREFIX) + r"[\w-]+")
_HIDDEN: Final = "***"
_OF_EVERY_RECORD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_CONTROLS: Final = {code: ascii(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}
"""What callers send must neither pass for another line nor steer a terminal."""
_CONTROLS_IN_LINES: Final = {code: text for code, text in _CONTROLS.items() if code != ord("\n")}
_COLORS: Final = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[31m"}


class ThrottledLog:
    """Warnings that every request could cause: at most one a second, which says how many were left out before it."""

    PAUSE_S: Final = 1.0

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._quiet_until = 0.0
        self._left_out = 0

    def warning(self, text: str, *arguments: object) -> None:
        now = monotonic()
        if now < self._quiet_until:
            self._left_out += 1
            return
        extra = {"left_out": self._left_out} if self._left_out else None
        self._log.warning(text, *arguments, extra=extra)
        self._quiet_until, self._left_out = now + self.PAUSE_S, 0


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Every logger of this process, uvicorn's included, writes through one handler."""
    stream = sys.stderr if stream is None else stream
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter(settings.secrets, colors=stream.isatty()) if as_text else JsonFormatter(settings.secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    logging.captureWarnings(True)
    # uvicorn tells of each step of a start or stop; quotad says itself where it serves.
    logging.getLogger("uvicorn").setLevel(logging.DEBUG if settings.log_level == "debug" else max(root.level, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


class _Formatter(logging.Formatter):
    """Hides what must not be read by those who read logs."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        # The longest first: a token may be part of another one.
        self._secrets = sorted(secrets, key=len, reverse=True)

    def hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return _VIRTUAL_KEY.sub(VIRTUAL_KEY_PREFIX + _HIDDEN, text)


class JsonFormatter(_Formatter):
    """`time`, `level`, `logger`, `message`, then whatever was passed as `extra`, then `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.hide(record.getMessage()),
        }
        line |= {name: _hidden(value, self) for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
        if record.exc_info:
            line["exception"] = self.hide(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class TextFormatter(_Formatter):
    """`12:00:00.123 warning quotad: the message name=value`"""

    def __init__(self, secrets: tuple[str, ...], *, colors: bool) -> None:
        super().__init__(secrets)
        self._colors = colors

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        extra = "".join(f" {name}={value}" for name, value in vars(record).items() if name not in _OF_EVERY_RECORD)
        said = f"{record.getMessage()}{extra}".translate(_CONTROLS)
        text = f"{time}.{record.msecs:03.0f} {record.levelname.lower()} {record.name}: {said}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info).translate(_CONTROLS_IN_LINES)
        color = _COLORS.get(record.levelno) if self._colors else None
        return self.hide(text) if color is None else f"{color}{self.hide(text)}\x1b[0m"


def _hidden(value: object, formatter: _Formatter) -> object:
    if isinstance(value, bool | int | float | None):
        return value
    return formatter.hide(str(value))
