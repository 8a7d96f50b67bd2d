"""What a load test runs against: virtual keys that it makes, reads back and removes again, and how their calls came out."""

import http.client
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from gevent.pool import Pool  # type: ignore[import-untyped]

GOVERNANCE: Final = "/api/governance"
ENDLESS: Final = 10**12
"""A limit that no run reaches."""
ENDLESS_DOLLARS: Final = 9_000_000
_WINDOW: Final = "1M"
"""Longer than any run, so that no counter starts anew within one."""
_AT_ONCE: Final = 16
_PAGE: Final = 100
_TOLD_EVERY: Final = 5_000
_MAY_BE_UNANSWERED: Final = 0.05
"""Share of the calls, where a few were cut off; with more, what the others came to says little."""

FAILURES: Final = (OSError, http.client.HTTPException, RuntimeError, ValueError)
"""Of calls of the API, whatever answers them."""

Given = TypeVar("Given")
Made = TypeVar("Made")


def _bearer(*variables: str) -> dict[str, str]:
    """While tokens are rotated a variable holds several; any of them will do."""
    for variable in variables:
        token = os.environ.get(variable, "").split(",")[0].strip()
        if token:
            return {"authorization": f"Bearer {token}"}
    return {}


ADMIN: Final = _bearer("QUOTAD_ADMIN_TOKEN")
GATEWAY: Final = _bearer("QUOTAD_GATEWAY_TOKEN", "QUOTAD_ADMIN_TOKEN")


@dataclass(slots=True)
class Tenant:
    """A virtual key. A call that brought neither admission nor refusal is unanswered: it may have been counted or not."""

    id: str
    value: str = field(repr=False)
    asked: int = 0
    admitted: int = 0
    refused: int = 0
    settled_tokens: int = 0

    @property
    def unanswered(self) -> int:
        return self.asked - self.admitted - self.refused


@dataclass(frozen=True, slots=True)
class Limits:
    """How much each key of a scenario may use; `used` requests are gone before the run."""

    requests: int = ENDLESS
    tokens: int = ENDLESS
    used: int = 0

    def admissible(self, tenant: Tenant) -> int:
        return min(tenant.asked, self.requests - self.used)


@dataclass(frozen=True, slots=True)
class Account:
    """How the calls of one scenario came out; what the API says of its keys stands beside what the callers saw."""

    scenario: str
    asked: int
    admitted: int
    refused: int
    unanswered: int
    expected: int
    counted: int
    settled_tokens: int
    counted_tokens: int
    overspent_requests: int
    overspent_tokens: int
    overspent_dollars: float

    @property
    def exact(self) -> bool:
        overspent = self.overspent_requests or self.overspent_tokens or self.overspent_dollars
        as_allowed = abs(self.admitted - self.expected) <= self.unanswered
        as_counted = self.admitted <= self.counted <= self.admitted + self.unanswered
        # A settle that the end of the run cut off may have been charged; one that was answered has been.
        return self.was_answered and as_allowed and as_counted and self.settled_tokens <= self.counted_tokens and not overspent

    @property
    def was_answered(self) -> bool:
        return self.unanswered <= _MAY_BE_UNANSWERED * self.asked

    @property
    def verdict(self) -> str:
        if not self.was_answered:
            return f"NOT KNOWN: {self.unanswered:,} of {self.asked:,} calls brought neither admission nor refusal"
        if self.exact:
            return f"exact: admitted {self.admitted:,}, as the limits allow of {self.asked:,} that asked"
        tokens = f"{self.settled_tokens:,} tokens settled, {self.counted_tokens:,} counted"
        requests = f"admitted {self.admitted:,} where the limits allow {self.expected:,}, counted {self.counted:,}"
        return f"NOT EXACT: {requests}; {tokens}"


class Admin:
    """The API as an administrator calls it, outside of what is measured: one connection for each greenlet."""

    def __init__(self, host: str) -> None:
        self._address = urlsplit(host)
        if self._address.scheme not in ("http", "https"):
            raise ValueError(f"--host {host or 'is missing'}: it begins with http:// or https://")
        self._local = threading.local()

    def call(self, method: str, path: str, content: object = None, headers: dict[str, str] = ADMIN) -> tuple[int, Any]:
        connection = self._connection()
        body = None if content is None else json.dumps(content)
        try:
            connection.request(method, GOVERNANCE + path, body, {"content-type": "application/json", **headers})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        return answer.status, json.loads(text) if text else None

    def expect(self, method: str, path: str, content: object = None) -> Any:
        status, answer = self.call(method, path, content)
        if status not in (200, 201):
            raise RuntimeError(f"{method} {path} answered {status}: {answer}")
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._address.scheme == "https" else http.client.HTTPConnection
            connection = kind(self._address.hostname or "localhost", self._address.port, timeout=30)
            self._local.connection = connection
        return connection


class Tenants:
    """Everything made has a name that begins with that of the run: what is left over is found by it."""

    def __init__(self, host: str) -> None:
        self.name: Final = f"locust-{uuid.uuid4().hex[:8]}"
        self._admin = Admin(host)
        self._of: dict[str, list[Tenant]] = {}
        self._limits: dict[str, Limits] = {}
        customer = {"name": f"{self.name}-customer", "budgets": [_budget()]}
        customer_id = self._admin.expect("POST", "/customers", customer)["customer"]["id"]
        team = {"name": f"{self.name}-team", "customer_id": customer_id, "budgets": [_budget()]}
        self._team_id: str = self._admin.expect("POST", "/teams", team)["team"]["id"]

    def __getitem__(self, scenario: str) -> Sequence[Tenant]:
        return self._of[scenario]

    def make(self, scenario: str, count: int, limits: Limits) -> None:
        def one(number: int) -> Tenant:
            made = self._admin.expect("POST", "/virtual-keys", self._key(f"{self.name}-{scenario}-{number}", limits))
            tenant = Tenant(made["virtual_key"]["id"], made["virtual_key"]["value"])
            for _ in range(limits.used):
                call = {"virtual_key": tenant.value, "provider": "openai", "model": "gpt-4o"}
                status, answer = self._admin.call("POST", "/quota/reserve", call, GATEWAY)
                if status != 200:
                    raise RuntimeError(f"a key for {limits.requests} requests answered {status}: {answer}")
            return tenant

        self._limits[scenario] = limits
        self._of[scenario] = []
        for first in range(0, count, _TOLD_EVERY):
            if first:
                print(f"    {first:,} of {count:,}", flush=True)
            self._of[scenario] += _at_once(one, range(first, min(first + _TOLD_EVERY, count)))

    def _key(self, name: str, limits: Limits) -> dict[str, Any]:
        """Two budgets, a rate limit, two provider configs, one of which has a budget; those of team and customer beside."""
        rate_limit = {
            "request_max_limit": limits.requests,
            "request_reset_duration": _WINDOW,
            "token_max_limit": limits.tokens,
            "token_reset_duration": _WINDOW,
        }
        provider = {"weight": 0.5, "allowed_models": ["*"], "key_ids": ["*"]}
        return {
            "name": name,
            "team_id": self._team_id,
            "enforcement": "strict",
            "budgets": [_budget("1w"), _budget()],
            "rate_limit": rate_limit,
            "provider_configs": [
                {"provider": "openai", **provider, "budgets": [_budget()]},
                {"provider": "anthropic", **provider},
            ],
        }

    def accounts(self) -> list[Account]:
        return [self._account(scenario) for scenario, tenants in self._of.items() if any(tenant.asked for tenant in tenants)]

    def _account(self, scenario: str) -> Account:
        limits = self._limits[scenario]
        tenants = [tenant for tenant in self._of[scenario] if tenant.asked]
        shown = _at_once(lambda tenant: self._admin.expect("GET", f"/virtual-keys/{tenant.id}")["virtual_key"], tenants)
        requests = [key["rate_limit"]["request_current_usage"] for key in shown]
        tokens = [key["rate_limit"]["token_current_usage"] for key in shown]
        return Account(
            scenario,
            asked=sum(tenant.asked for tenant in tenants),
            admitted=sum(tenant.admitted for tenant in tenants),
            refused=sum(tenant.refused for tenant in tenants),
            unanswered=sum(tenant.unanswered for tenant in tenants),
            expected=sum(limits.admissible(tenant) for tenant in tenants),
            counted=sum(requests) - limits.used * len(tenants),
            settled_tokens=sum(tenant.settled_tokens for tenant in tenants),
            counted_tokens=sum(tokens),
            overspent_requests=sum(max(0, used - limits.requests) for used in requests),
            overspent_tokens=sum(max(0, used - limits.tokens) for used in tokens),
            overspent_dollars=sum(
                max(0.0, budget["current_usage"] - budget["max_limit"]) for key in shown for budget in key["budgets"]
            ),
        )

    def remove(self) -> None:
        """Also what users of the admin scenario left behind."""
        for kind, member in (("virtual-keys", "virtual_keys"), ("teams", "teams"), ("customers", "customers")):
            while found := self._admin.expect("GET", f"/{kind}?search={self.name}&limit={_PAGE}")[member]:
                _at_once(self._delete, [f"/{kind}/{entity['id']}" for entity in found])
        self._of.clear()

    def _delete(self, path: str) -> None:
        self._admin.call("DELETE", path)


def _at_once(do: Callable[[Given], Made], given: Iterable[Given]) -> list[Made]:
    """Once one fails, or the run is stopped, none goes on: it would make what is about to be removed."""

    def attempt(one: Given) -> Made | Exception:
        try:
            return do(one)
        except FAILURES as failure:
            return failure

    pool = Pool(_AT_ONCE)
    under_way = pool.imap(attempt, given)
    made: list[Made] = []
    try:
        for one in under_way:
            if isinstance(one, Exception):
                raise one
            made.append(one)
    finally:
        under_way.kill()
        pool.kill()
    return made


def _budget(window: str = _WINDOW) -> dict[str, Any]:
    return {"max_limit": ENDLESS_DOLLARS, "reset_duration": window}
