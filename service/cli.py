"""The command line: `quotad serve`, `quotad seed --demo`, `quotad prices import FILE`, `quotad --version`."""

import argparse
import contextlib
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# What takes long to import is imported where it is needed: while the embedded Redis starts, or not at all.
from service import __version__
from service.errors import ServiceError, StoreUnavailable
from service.logs import configure_logging
from service.metrics_directory import metrics_of
from service.server import CannotListen, bind, import_application, serve, url_of
from service.settings import NEEDS_ADDRESS, BadSettings, Settings, load_settings, variable
from service.store.data_directory import EmbeddedRedisError, holds_data, running_embedded_redis
from service.store.embedded import embedded_redis

FAILED = 1
MISUSED = 2
FLAGS = {
    "serve": ("host", "port", "workers", "redis_url", "data_dir"),
    "seed": ("redis_url", "data_dir"),
    "prices": ("redis_url", "data_dir"),
}
_SUMMARIES = {
    "serve": "run the service until Ctrl-C",
    "seed": "write the demo entities into an empty store",
    "prices": "import base prices of models",
}

log = logging.getLogger("quotad")


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files may be of no encoding.
            stream.reconfigure(errors="backslashreplace")
    # SIGTERM unwinds like Ctrl-C: the HTTP side first, then Redis. So does the end of the terminal, unless nohup ignores it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        settings = load_settings(**{name: getattr(given, name) for name in FLAGS[given.command]})
        if given.data_dir and settings.redis_url is not None:
            raise BadSettings(
                f"--data-dir is given, and a Redis elsewhere ({settings.redis_display}), too: leave out one of them."
            )
        configure_logging(settings)
        match given.command:
            case "serve":
                return _serve(settings, demo=given.demo)
            case "seed":
                return _seed(settings)
        return _prices(settings, given)
    except BadSettings as bad:
        return _complain(bad, MISUSED)
    except StoreUnavailable as failure:
        return _complain(f"Redis ({settings.redis_display}) did not do it: {failure.reason}", FAILED)
    except (CannotListen, EmbeddedRedisError, ServiceError) as failure:
        return _complain(failure, FAILED)
    except KeyboardInterrupt:
        return 0


def _serve(settings: Settings, *, demo: bool) -> int:
    settings.require_safe_bind()
    with (
        bind(settings.host, settings.port) as bound,
        metrics_of(settings.workers),
        # Several workers are processes of their own, which import it themselves.
        _redis(settings, settings.redis_url, meanwhile=import_application if settings.workers == 1 else None) as running,
    ):
        host, port = bound.getsockname()[:2]
        _say(f"quotad {__version__}, Redis: {settings.redis_display}")
        _prepare(running)
        if not settings.admin_token:
            _say(f"{variable('admin_token')} is not set: whoever can connect from this machine is an admin.")
        if demo:
            _seed_demo(running, host, port)
        workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
        os.environ.update(running.to_environment())
        listening = f"Serving on {url_of(host, port)} with {workers}, API description at /docs. Ctrl-C stops."
        status = serve(running, bound, lambda: _say(listening))
    _say("Stopped." if status == 0 else "The server did not start.")
    return status


def _seed(settings: Settings) -> int:
    with _redis_in_use(settings, must_exist=False) as running:
        _seed_demo(running, settings.host, settings.port)
    return 0


def _prepare(settings: Settings) -> None:
    """Only `serve` does: other commands may be given while a worker of an earlier version runs."""
    from service.store.connection import with_store
    from service.store.upgrade import upgrade_counters

    try:
        _check(settings)
        owners = with_store(settings, upgrade_counters)
    except StoreUnavailable as failure:
        log.warning("Redis does not answer yet: %s", failure.reason)
        log.warning("If an earlier version of quotad used this Redis, start again when it answers")
        return
    if owners:
        _say(f"Counters of {owners:,} owners are kept in a new format now; earlier versions of quotad cannot read them.")


def _check(settings: Settings) -> None:
    """Raises BadSettings for a Redis that cannot be used as it is configured, StoreUnavailable for one that does not answer."""
    from service.store.connection import with_store
    from service.store.server_check import check_server

    try:
        warning = with_store(settings, check_server)
    except BadSettings as bad:
        raise BadSettings(f"Redis ({settings.redis_display}) cannot be used: {str(bad).rstrip('.')}.") from None
    if warning is not None:
        log.warning("%s", warning)


def _seed_demo(settings: Settings, host: str, port: int) -> None:
    from service.demo import seed

    key = seed(settings)
    if key is None:
        _say("No demo: the store holds other entities already.")
        return
    url = url_of({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)
    _say(f"Demo key: {key.value}\nTry it:   curl -H 'x-bf-vk: {key.value}' {url}/api/governance/virtual-keys/quota")


def _prices(settings: Settings, given: argparse.Namespace) -> int:
    from service import price_commands

    if given.action == "clear":
        with _redis_in_use(settings, must_exist=True) as running:
            _say(price_commands.clear(running))
        return 0
    try:
        text = given.file.read_bytes()
    except OSError as error:
        return _complain(f"Cannot read {given.file}: {error.strerror}.", MISUSED)
    _say(f"Reading {given.file}, {len(text):,} bytes.")
    try:
        with _redis_in_use(settings, must_exist=True) as running:
            for line in price_commands.import_sheet(running, _readable(given.file.name), text, skip_invalid=given.skip_invalid):
                _say(line)
    except price_commands.BadSheet as bad:
        return _complain(f"{given.file}: {bad}", FAILED)
    return 0


def _readable(name: str) -> str:
    """The name of a file, which may be any bytes, as text that can be kept."""
    return os.fsencode(name).decode(errors="replace")


@contextlib.contextmanager
def _redis_in_use(settings: Settings, *, must_exist: bool) -> Iterator[Settings]:
    """A running `quotad serve` holds the data directory: then its Redis is the one that is meant."""
    if settings.redis_url is None:
        directory = settings.data_dir.absolute()
        if must_exist and not holds_data(directory):
            raise EmbeddedRedisError(
                f"There is no data in {directory}, so there are no prices to change: name the directory of quotad serve with "
                "--data-dir, or its Redis with --redis-url."
            )
        _say(f"Data in {directory}.")
    else:
        _say(f"Redis: {settings.redis_display}.")
    with _redis(settings, settings.redis_url or running_embedded_redis(settings.data_dir)) as running:
        _check(running)
        yield running


@contextlib.contextmanager
def _redis(settings: Settings, url: str | None, meanwhile: Callable[[], None] | None = None) -> Iterator[Settings]:
    """Settings with this URL; without one, with that of an embedded Redis that runs until the context ends (embedded_redis)."""
    with contextlib.ExitStack() as stack:
        if url is None:
            if settings.redis_cluster:
                raise BadSettings(f"{NEEDS_ADDRESS}.")
            url = stack.enter_context(embedded_redis(settings.data_dir, logging.getLogger("quotad.redis"), meanwhile=meanwhile))
            stack.callback(_ignore_signals)
        yield settings.model_copy(update={"redis_url": url})


def _ignore_signals() -> None:
    """A second Ctrl-C must not cut Redis off from writing what it holds; it ends by itself, in bounded time."""
    for asks_to_end in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(asks_to_end, signal.SIG_IGN)


def _say(text: str) -> None:
    print(text, flush=True)


def _complain(failure: Exception | str, status: int) -> int:
    print(f"quotad: {failure}", file=sys.stderr, flush=True)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quotad",
        description="Quota and governance service for LLM gateways.",
        epilog=f"Every setting can also be given by environment; those without an option are: {', '.join(_without_option())}.",
    )
    parser.add_argument("--version", action="version", version=f"quotad {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command, summary in _SUMMARIES.items():
        parser_of_command = commands.add_parser(command, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if command == "prices":
            _add_price_actions(parser_of_command)
            continue
        _add_settings(parser_of_command, command)
        parser_of_command.add_argument(
            "--demo",
            action="store_true",
            required=command == "seed",
            help="a customer, a team and a key with limits, when the store is empty",
        )
    return parser


def _add_price_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    importing = actions.add_parser(
        "import",
        help="import a price sheet in the format of LiteLLM",
        description="Import a price sheet in the format of LiteLLM. Its prices win over those that come with the service; "
        "they replace all that were imported before.",
    )
    importing.add_argument("file", metavar="FILE", type=Path, help="JSON, such as LiteLLM's model_prices_and_context_window.json")
    importing.add_argument(
        "--skip-invalid", action="store_true", help="leave out entries that cannot be used, instead of importing nothing"
    )
    clearing = actions.add_parser(
        "clear", help="forget imported prices", description="Forget imported prices: those that come with the service remain."
    )
    for parser_of_action in (importing, clearing):
        _add_settings(parser_of_action, "prices")


def _add_settings(parser: argparse.ArgumentParser, command: str) -> None:
    for name in FLAGS[command]:
        field = Settings.model_fields[name]
        default = "" if field.default is None else f"; default {field.default}"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            metavar=name.rpartition("_")[2].upper(),
            help=f"{field.description} ({variable(name)}{default})",
        )


def _without_option() -> list[str]:
    return [variable(name) for name in Settings.model_fields if name not in FLAGS["serve"]]
