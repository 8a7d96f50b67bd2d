"""The real server on a socket: what is no HTTP, what is too large, and connections that go on after an error."""

import json
import re
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from redis import Redis

from service.store import keys
from tests.serving import Served, serve

MEBIBYTE = 1_048_576
TEAMS = "/api/governance/teams"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def served(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("http")
    with serve(cwd=folder, QUOTAD_REDIS_URL=redis_url) as running:
        yield running


class Connection:
    """Bytes in, answers out, as far apart as they come."""

    def __init__(self, served: Served) -> None:
        host, port = served.url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self._received = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self, *, to_head: bool = False) -> Answer:
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        length = 0 if to_head else int(headers.get("content-length", 0))
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return Answer(int(head[0].split()[1]), headers, body)

    def is_closed(self) -> bool:
        """By the server, after all it had to say."""
        return self._received == b"" and self._socket.recv(1) == b""

    def is_alive(self) -> bool:
        self.send(request("GET", "/livez"))
        return self.answer().status == 200

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._receive()
        found, _, self._received = self._received.partition(mark)
        return found

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        assert data, f"the server closed after {self._received!r}"
        self._received += data


def request(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def with_length(method: str, target: str, body: bytes) -> bytes:
    return request(method, target, f"Content-Length: {len(body)}", body=body)


def chunked(method: str, target: str, *chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    return request(method, target, "Transfer-Encoding: chunked", body=body)


def assert_standard(answer: Answer, status: int, *, head: bool = False) -> None:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    if head:
        assert answer.body == b""
        return
    body = json.loads(answer.body)
    assert body == {"is_bifrost_error": False, "status_code": status, "error": body["error"], "extra_fields": {}}
    assert body["error"]["message"]
    assert b"Traceback" not in answer.body


NO_HTTP = {
    "another protocol": b"\x16\x03\x01\x02\x00\x01",
    "a method nobody knows": request("BREW", "/livez"),
    "a method in lower case": request("get", "/livez"),
    "a space in the path": request("GET", "/api/governance/teams/a b"),
    "bytes beyond ASCII in the path": request("GET", "/api/governance/teams/\xe4"),
    "a path of 100,000 bytes": request("GET", f"{TEAMS}/{'a' * 100_000}"),
    "a query of 100,000 bytes": request("GET", f"{TEAMS}?search={'a' * 100_000}"),
    "a length below zero": request("POST", TEAMS, "Content-Length: -1"),
    "a length with a plus": request("POST", TEAMS, "Content-Length: +2", body=b"{}"),
    "a length in words": request("POST", TEAMS, "Content-Length: two", body=b"{}"),
    "an empty length": request("POST", TEAMS, "Content-Length: "),
    "a fraction as length": request("POST", TEAMS, "Content-Length: 2.0", body=b"{}"),
    "two lengths": request("POST", TEAMS, "Content-Length: 2", "Content-Length: 3", body=b"{} "),
    "a length beyond 64 bits": request("POST", TEAMS, f"Content-Length: {10**30}"),
    "a length and chunks": request("POST", TEAMS, "Content-Length: 2", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunks without a length": request("POST", TEAMS, "Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n0\r\n\r\n"),
    "an unknown encoding": request("POST", TEAMS, "Transfer-Encoding: gzip", body=b"{}"),
    "a NUL in a header": request("GET", "/livez", "x-api-key: a\0b"),
}


@pytest.mark.parametrize("data", NO_HTTP.values(), ids=NO_HTTP)
def test_what_is_no_http_is_answered_like_any_other_error(served: Served, data: bytes):
    with Connection(served) as connection:
        connection.send(data)
        answer = connection.answer()
        assert_standard(answer, 400)
        assert answer.headers["connection"] == "close"
        assert connection.is_closed()


HUGE = b'{"name": "' + b"x" * MEBIBYTE + b'"}'

ERRORS = {
    "an unknown path": (request("GET", "/nothing"), 404),
    "an unknown id": (request("GET", f"{TEAMS}/{'a' * 60_000}"), 404),
    "an id that is no UTF-8": (request("GET", f"{TEAMS}/%ff%00"), 404),
    "a wrong method": (request("PATCH", TEAMS), 405),
    "a wrong method with a body": (with_length("PATCH", TEAMS, b"{}"), 405),
    "no JSON": (with_length("POST", TEAMS, b"{"), 400),
    "no body at all": (request("POST", TEAMS), 400),
    "chunks that are no JSON": (chunked("POST", TEAMS, b"{", b'"name"'), 400),
    "too large, as declared": (with_length("POST", TEAMS, HUGE), 413),
    "too large, in chunks": (chunked("PUT", f"{TEAMS}/x", HUGE[:60_000], HUGE[60_000:]), 413),
    "too large on a path that is unknown": (with_length("POST", "/nothing", HUGE), 404),
}


@pytest.mark.parametrize("data, status", ERRORS.values(), ids=ERRORS)
def test_a_connection_goes_on_after_an_error(served: Served, data: bytes, status: int):
    with Connection(served) as connection:
        for _ in range(2):
            connection.send(data)
            assert_standard(connection.answer(), status)
            assert connection.is_alive()


def test_requests_sent_at_once_are_answered_in_their_order(served: Served):
    with Connection(served) as connection:
        connection.send(b"".join(data for data, _ in ERRORS.values()) + request("GET", "/livez"))
        assert [connection.answer().status for _ in ERRORS] == [status for _, status in ERRORS.values()]
        assert connection.answer().status == 200


def test_a_client_that_asks_first_is_refused_before_it_sends_the_body(served: Served):
    with Connection(served) as connection:
        connection.send(request("POST", TEAMS, "Expect: 100-continue", f"Content-Length: {MEBIBYTE + 1}"))
        assert_standard(connection.answer(), 413)


def test_a_client_that_asks_first_is_told_to_go_on(served: Served):
    with Connection(served) as connection:
        connection.send(request("POST", TEAMS, "Expect: 100-continue", "Content-Length: 2"))
        assert connection.answer().status == 100
        connection.send(b"{}")
        assert_standard(connection.answer(), 400)


@pytest.mark.parametrize(
    "path, status", [("/livez", 200), ("/openapi.json", 200), (TEAMS, 200), (f"{TEAMS}/x", 404), ("/x", 404)]
)
def test_head_answers_as_get_does_without_the_body(served: Served, path: str, status: int):
    with Connection(served) as connection:
        connection.send(request("GET", path) + request("HEAD", path))
        got = connection.answer()
        head = connection.answer(to_head=True)
        assert (got.status, head.status) == (status, status)
        assert head.headers.keys() == got.headers.keys()
        assert head.headers["content-length"] == got.headers["content-length"]
        assert connection.is_alive()


@pytest.fixture(scope="module")
def quota_read(served: Served) -> bytes:
    """A request that our server answers at once, whole."""
    key = {"name": "k", "rate_limit": {"request_max_limit": 1000, "request_reset_duration": "1h"}}
    answer = httpx.post(f"{served.url}/api/governance/virtual-keys", json=key)
    return request("GET", "/api/governance/virtual-keys/quota", f"x-bf-vk: {answer.json()['virtual_key']['value']}")


def test_an_answer_written_at_once_is_an_answer_like_any_other(served: Served, quota_read: bytes):
    with Connection(served) as connection:
        connection.send(quota_read + quota_read.replace(b"GET", b"HEAD", 1) + request("GET", "/livez"))
        got, head, other = connection.answer(), connection.answer(to_head=True), connection.answer()
        assert (got.status, head.status, other.status) == (200, 200, 200)
        assert head.headers.keys() == got.headers.keys() == other.headers.keys() | HEADERS_OF_A_QUOTA
        assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.body))
        assert json.loads(got.body)["virtual_key_name"] == "k"
        assert connection.is_alive()


HEADERS_OF_A_QUOTA = {
    *("ratelimit", "ratelimit-policy"),
    *("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
}


@pytest.mark.parametrize("how", ["Connection: close", "HTTP/1.0"])
def test_who_wants_the_connection_closed_gets_the_whole_answer_first(served: Served, quota_read: bytes, how: str):
    changed = quota_read.replace(b"HTTP/1.1", b"HTTP/1.0") if how == "HTTP/1.0" else quota_read[:-2] + f"{how}\r\n\r\n".encode()
    with Connection(served) as connection:
        connection.send(changed)
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert json.loads(answer.body)["virtual_key_name"] == "k"
        assert connection.is_closed()


def test_who_reads_late_gets_every_answer(served: Served, quota_read: bytes):
    """More than the buffers of both sockets hold."""
    asked = 10_000
    with Connection(served) as connection:
        sending = threading.Thread(target=connection.send, args=(quota_read * asked,))
        sending.start()
        sending.join(0.5)
        assert {connection.answer().status for _ in range(asked)} == {200}
        sending.join()
        assert connection.is_alive()


def test_a_client_that_does_not_wait_for_its_answer_harms_nobody(served: Served, quota_read: bytes):
    for _ in range(20):
        with Connection(served) as connection:
            connection.send(quota_read)
    with Connection(served) as connection:
        connection.send(quota_read)
        assert connection.answer().status == 200


def test_head_of_the_quota_has_no_body(served: Served):
    with Connection(served) as connection:
        connection.send(request("HEAD", "/api/governance/virtual-keys/quota"))
        assert connection.answer(to_head=True).status == 401
        assert connection.is_alive()


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
def test_a_wish_for_another_protocol_is_ignored(served: Served, upgrade: str):
    with Connection(served) as connection:
        connection.send(request("GET", "/livez", "Connection: Upgrade", f"Upgrade: {upgrade}"))
        assert connection.answer().status == 200


def test_a_client_that_goes_away_is_no_mistake_of_ours(redis_url: str, redis: Redis, tmp_path: Path):
    with serve(cwd=tmp_path, QUOTAD_REDIS_URL=redis_url) as served:
        for part in (b"", b'{"name": "half'):
            with Connection(served) as connection:
                connection.send(request("POST", TEAMS, "Content-Length: 100", body=part))
        with Connection(served) as connection:
            assert connection.is_alive()
        status, said = served.stop(signal.SIGTERM)
        assert status == 0
        assert not re.search(r"Traceback|error", said), said
    assert redis.keys() == [keys.counters_format()]


def test_what_is_asked_of_nobody_in_particular(served: Served):
    """`OPTIONS *`, an absolute address, HTTP/1.0 without a Host header: all legal."""
    for data, status in (
        (request("OPTIONS", "*"), 404),
        (request("GET", "http://elsewhere/livez"), 200),
        (b"GET /livez HTTP/1.0\r\n\r\n", 200),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: elsewhere\r\n\r\n", 400),
    ):
        with Connection(served) as connection:
            connection.send(data)
            assert connection.answer().status == status


@pytest.mark.parametrize("framing, body", [("identity", b""), ("chunked", b"zz\r\n"), ("chunked", b"5\r\nhel")])
def test_a_delete_that_is_no_http_deletes_nothing(served: Served, framing: str, body: bytes):
    with Connection(served) as connection:
        connection.send(with_length("POST", TEAMS, json.dumps({"name": f"kept {framing} {body!r}"}).encode()))
        team = f"{TEAMS}/{json.loads(connection.answer().body)['team']['id']}"
        connection.send(request("DELETE", team, f"Transfer-Encoding: {framing}", body=body))
        if body != b"5\r\nhel":
            assert_standard(connection.answer(), 400)
    with Connection(served) as another:
        another.send(request("GET", team))
        assert another.answer().status == 200
        another.send(with_length("DELETE", team, b"whatever"))
        assert another.answer().status == 200
