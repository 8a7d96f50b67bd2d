"""The command line as a user meets it: in a process of its own."""

import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from service import __version__
from service.store import keys
from tests.redis_servers import binaries, redis_server
from tests.serving import processes_in, run, serve


def test_version(tmp_path: Path):
    result = run("--version", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"quotad {__version__}\n", "")


@pytest.mark.parametrize("command", ["serve", "seed"])
def test_help_names_the_variables(tmp_path: Path, command: str):
    text = run(command, "--help", cwd=tmp_path).stdout
    assert "QUOTAD_REDIS_URL" in text
    assert "QUOTAD_DATA_DIR" in text


@pytest.mark.parametrize(
    "arguments, environment, status, complaint",
    [
        (["serve", "--port", "http"], {}, 2, "--port is not valid: input should be a valid integer, "),
        (["serve"], {"QUOTAD_PORT": "http"}, 2, "QUOTAD_PORT is not valid: input should be a valid integer, "),
        (["serve"], {"QUOTAD_PROT": "80"}, 2, "QUOTAD_PROT is not a setting of quotad; did you mean QUOTAD_PORT?"),
        (["seed", "--demo"], {"QUOTAD_PROT": "80"}, 2, "QUOTAD_PROT is not a setting of quotad; did you mean QUOTAD_PORT?"),
        (["serve", "--host", "0.0.0.0"], {}, 2, "QUOTAD_ADMIN_TOKEN is not set, so quotad serves on loopback only"),
        (
            ["serve", "--host", "no.such.host.invalid"],
            {"QUOTAD_ADMIN_TOKEN": "x"},
            1,
            "Cannot serve on no.such.host.invalid port ",
        ),
        (["serve", "--host", "192.0.2.1"], {"QUOTAD_ADMIN_TOKEN": "x"}, 1, "Cannot serve on 192.0.2.1 port 8080: "),
        (["serve", "--port", "0", "--data-dir", "/dev/null/x"], {}, 1, "Cannot use the data directory /dev/null/x: "),
        (["serve", "--port", "0"], {"QUOTAD_ADMIN_TOKEN": "se cret"}, 2, "QUOTAD_ADMIN_TOKEN is not valid: "),
        (["serve", "--port", "0"], {"QUOTAD_REDIS_CLUSTER": "true"}, 2, "QUOTAD_REDIS_CLUSTER needs a QUOTAD_REDIS_URL"),
        (
            ["prices", "clear", "--data-dir", "x"],
            {"QUOTAD_REDIS_URL": "redis://:cret@r/0"},
            2,
            "--data-dir is given, and a Redis ",
        ),
        (["serve"], {"QUOTAD_PORT": "tcp://10.0.0.1:80"}, 2, "Kubernetes has set variables such as QUOTAD_PORT "),
        (["serve"], {"QUOTAD_SERVICE_HOST": "10.0.0.1"}, 2, "Kubernetes has set variables such as QUOTAD_PORT "),
    ],
)
def test_what_stops_the_start_is_one_sentence(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], status: int, complaint: str
):
    result = run(*arguments, cwd=tmp_path, **environment)
    assert result.stderr.startswith(f"quotad: {complaint}")
    assert result.stderr.count("\n") == 1
    assert "cret" not in result.stderr
    assert (result.returncode, result.stdout) == (status, "")
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_named(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", str(port), cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        f"quotad: Cannot serve on 127.0.0.1 port {port}: the port is in use. "
        "Choose another with --host and --port, or QUOTAD_HOST and QUOTAD_PORT.\n"
    )


def test_seed_says_what_it_can_seed(tmp_path: Path):
    result = run("seed", cwd=tmp_path)
    assert result.returncode == 2
    assert "--demo" in result.stderr


def test_serve_demo_prints_a_curl_that_works_and_keeps_everything(tmp_path: Path):
    seen = []
    for how in (signal.SIGINT, signal.SIGTERM):
        with serve("--demo", cwd=tmp_path) as served:
            assert f"quotad {__version__}" in served.said
            assert "QUOTAD_ADMIN_TOKEN is not set" in served.said
            assert served.get("/livez").status_code == 200
            assert "server" not in served.get("/livez").headers
            curl = re.search(r"curl -H '([\w-]+): (\S+)' (\S+)", served.said)
            assert curl is not None, served.said
            assert curl[3].startswith(served.url)
            answer = served.get(curl[3].removeprefix(served.url), {curl[1]: curl[2]})
            assert answer.status_code == 200
            seen.append((curl[2], answer.json()["virtual_key_name"]))
            assert served.stop(how) == (0, "Stopped.\n")
        assert processes_in(tmp_path) == set()
    assert seen[0] == seen[1]


def test_serve_alone_seeds_nothing(tmp_path: Path, redis: Redis, redis_url: str):
    with serve("--redis-url", redis_url, cwd=tmp_path) as served:
        assert served.get("/livez").status_code == 200
        assert "Demo key" not in served.said
        assert served.stop(signal.SIGTERM) == (0, "Stopped.\n")
    assert redis.keys() == [keys.counters_format()]
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def redis_port() -> Iterator[str]:
    """Of a Redis of its own, which listens on TCP."""
    binary = next(iter(binaries().values()))
    with redis_server(binary) as url:
        yield url.removeprefix("redis://127.0.0.1:").removesuffix("/0")


@pytest.mark.parametrize(
    "url, settings, complaint",
    [
        ("redis://127.0.0.1:{}/99", {}, "DB index is out of range"),
        ("redis://:secret@127.0.0.1:{}", {}, "AUTH"),
        ("redis://127.0.0.1:{}?unheard=of", {}, "options that redis-py does not know"),
        ("redis://127.0.0.1:{}?protocol=9", {}, "options that redis-py does not know"),
        ("rediss://127.0.0.1:{}?ssl_cert_reqs=maybe", {}, "options that redis-py does not know"),
        ("redis://127.0.0.1:{}", {"QUOTAD_REDIS_CLUSTER": "true"}, "it is no cluster, but QUOTAD_REDIS_CLUSTER is set"),
    ],
)
@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["seed", "--demo"], ["prices", "clear"]])
def test_a_redis_that_answers_but_cannot_be_used_stops_the_start(
    tmp_path: Path, redis_port: str, url: str, settings: dict[str, str], complaint: str, command: list[str]
):
    result = run(*command, cwd=tmp_path, QUOTAD_REDIS_URL=url.format(redis_port), **settings)
    assert result.returncode == 2
    assert re.fullmatch(rf"quotad: Redis \(rediss?://\S+\) cannot be used: .*{complaint}.*\.\n", result.stderr), result.stderr
    assert "secret" not in result.stdout + result.stderr


@pytest.mark.parametrize("rights", ["~other:* +@all", "~q1:* +@all -@scripting", "~q1:* +@all -@dangerous"])
def test_a_user_that_may_not_do_what_decisions_need_stops_the_start(tmp_path: Path, redis_port: str, rights: str):
    with Redis(port=int(redis_port)) as redis:
        redis.execute_command("ACL", "SETUSER", "quotad", "reset", "on", ">pw", *rights.split())
    result = run("serve", "--port", "0", cwd=tmp_path, QUOTAD_REDIS_URL=f"redis://quotad:pw@127.0.0.1:{redis_port}")
    assert result.returncode == 2
    assert "permission" in result.stderr
    assert "docs/operating.md" in result.stderr


def test_the_user_of_the_documentation_may_do_what_is_needed_and_not_empty_redis(tmp_path: Path, redis_port: str):
    written = (Path(__file__).parents[1] / "docs" / "operating.md").read_text()
    rights = re.search(r"needs `(~q1:.*?)`", written)
    assert rights is not None
    with Redis(port=int(redis_port)) as redis:
        redis.execute_command("ACL", "SETUSER", "quotad", "reset", "on", ">pw", *rights[1].split())
    # Another database than 0: to choose one is no right of connections before Redis 7.
    url = f"redis://quotad:pw@127.0.0.1:{redis_port}/1"
    with Redis.from_url(url) as redis, pytest.raises(NoPermissionError):
        redis.flushall()
    sheet = Path(__file__).parent / "pricing" / "sheet.json"
    with serve("--demo", "--redis-url", url, cwd=tmp_path) as served:
        assert "Demo key: sk-bf-" in served.said
        assert run("prices", "import", str(sheet), "--redis-url", url, cwd=tmp_path).returncode == 0
        assert served.stop(signal.SIGTERM)[0] == 0


def test_what_lies_on_disk_is_for_its_owner_only(tmp_path: Path):
    """Also in a directory that others may read: virtual keys stand there in clear."""
    (tmp_path / "data").mkdir(mode=0o755)
    with serve("--demo", "--data-dir", "data", cwd=tmp_path) as served:
        assert served.stop(signal.SIGTERM)[0] == 0
    kept = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert kept
    assert [path.name for path in kept if path.stat().st_mode & 0o077] == []


def test_a_redis_that_may_evict_counters_is_told_of(tmp_path: Path, redis: Redis, redis_url: str):
    redis.config_set("maxmemory", "1gb")
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with serve("--redis-url", redis_url, cwd=tmp_path) as served:
            assert "maxmemory-policy allkeys-lru" in served.said
            assert served.stop(signal.SIGTERM)[0] == 0
    finally:
        redis.config_set("maxmemory", "0")
        redis.config_set("maxmemory-policy", "noeviction")


def test_prices_are_not_changed_where_there_are_none(tmp_path: Path):
    """Nobody ever served from this directory: most often it is the wrong one."""
    result = run("prices", "clear", "--data-dir", "typo", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"quotad: There is no data in {tmp_path / 'typo'}")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_option_is_none(tmp_path: Path):
    with serve("--data-dir", "", cwd=tmp_path) as served:
        assert served.stop(signal.SIGTERM)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == [".data"]


def test_metrics_need_their_directory(tmp_path: Path):
    result = run("serve", "--port", "0", cwd=tmp_path, PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "none"))
    assert (result.returncode, "PROMETHEUS_MULTIPROC_DIR" in result.stderr) == (2, True)


def test_a_running_server_can_be_seeded(tmp_path: Path):
    with serve(cwd=tmp_path) as served:
        seeded = run("seed", "--demo", cwd=tmp_path)
        assert (seeded.returncode, seeded.stderr) == (0, "")
        key = re.search(r"Demo key: (\S+)", seeded.stdout)
        assert key is not None
        assert served.get("/api/governance/virtual-keys/quota", {"x-bf-vk": key[1]}).status_code == 200
        assert served.stop(signal.SIGINT)[0] == 0


@pytest.mark.parametrize("host, tried", [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("127.0.0.2", "127.0.0.2")])
def test_the_call_that_a_seed_prints_can_be_made(tmp_path: Path, redis: Redis, redis_url: str, host: str, tried: str):
    seeded = run("seed", "--demo", "--redis-url", redis_url, cwd=tmp_path, QUOTAD_HOST=host, QUOTAD_PORT="8081")
    assert f" http://{tried}:8081/api/governance/virtual-keys/quota\n" in seeded.stdout


def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path):
    with serve(cwd=tmp_path) as served:
        second = run("serve", "--port", "0", cwd=tmp_path)
        assert second.returncode == 1
        assert f"is in use by another quotad (process {served.process.pid})" in second.stderr
        assert served.stop(signal.SIGINT)[0] == 0


def test_a_redis_that_is_away_does_not_stop_the_start(tmp_path: Path):
    with serve("--redis-url", "redis://127.0.0.1:1/0", cwd=tmp_path) as served:
        assert served.get("/livez").status_code == 200
        assert served.get("/readyz").status_code == 503
        assert served.stop(signal.SIGINT)[0] == 0
