"""Requests that schemathesis makes up from the OpenAPI document, thousands of them, against the application on a real Redis.

Whatever they hold, no answer is a 5xx, every answer is as documented, and what the document forbids is refused. Half of them are
led to entities that exist, with the references and texts that a schema cannot describe put right.
"""

import asyncio
import re
import threading
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from redis import Redis
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    ignored_auth,
    positive_data_acceptance,
    unsupported_method,
)
from starlette.types import Message, Receive, Scope, Send

from service.api.openapi import openapi_document
from service.app import Application, create_app
from service.settings import Settings
from tests.store.consistency import assert_consistent
from tests.store.stored_counters import UNDECODED

TOKEN: Final = {"x-api-key": "admin"}
QUOTA: Final = "/api/governance/virtual-keys/quota"

NOT_CHECKED: Final = [
    # The document cannot say everything: what is a duration, an expression, a name nobody has yet.
    positive_data_acceptance,
    # tests/api/test_admin_credentials.py; made-up headers beside a good token do not make it bad.
    ignored_auth,
]


class InProcess:
    """The application in one event loop, which its connections belong to, whichever loop a caller runs in."""

    def __init__(self) -> None:
        self.application: Application | None = None
        self.loop = asyncio.new_event_loop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.application is not None
        body = (await receive()).get("body", b"")
        answer: list[Message] = []

        async def receive_all() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            answer.append(message)

        call = self.application(scope, receive_all, keep)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, self.loop))
        for message in answer:
            await send(message)


SERVICE: Final = InProcess()


DOCUMENT: Final = schemathesis.openapi.from_dict(openapi_document("0"))
DOCUMENT.app = SERVICE
DOCUMENT.config.update(base_url="http://localhost")


@pytest.fixture(scope="module", autouse=True)
def service(redis_url: str) -> Iterator[None]:
    with Redis.from_url(redis_url, decode_responses=True, encoding_errors=UNDECODED) as redis:
        redis.flushall()
        settings = Settings(redis_url=redis_url, admin_token=("admin",), redis_timeout_ms=60_000, redis_admin_timeout_ms=60_000)
        SERVICE.application = create_app(settings)
        thread = threading.Thread(target=SERVICE.loop.run_forever)
        thread.start()
        yield
        asyncio.run_coroutine_threadsafe(SERVICE.application.services.close(), SERVICE.loop).result()
        SERVICE.loop.call_soon_threadsafe(SERVICE.loop.stop)
        thread.join()
        SERVICE.loop.close()
        assert redis.dbsize() > 100, "nothing much was created"
        assert_consistent(redis)


def call(method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(app=SERVICE)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/governance", headers=TOKEN) as client:
            return await client.request(method, path, json=body)

    answered = asyncio.run(answer())
    assert answered.is_success, answered.text
    (entity,) = (value for value in answered.json().values() if isinstance(value, dict))
    return dict(entity)


numbers = count()
LIMITS: Final = {
    "budgets": [{"max_limit": 1, "reset_duration": "1d"}],
    "rate_limit": {"token_max_limit": 1, "token_reset_duration": "1h"},
}


def an_entity(kind: str) -> str:
    """The id of a new one, with limits."""
    name = f"real {next(numbers)}"
    match kind:
        case "vk_id":
            return str(
                call("POST", "/virtual-keys", {"name": name, "provider_configs": [{"provider": "openai", **LIMITS}]})["id"]
            )
        case "team_id":
            return str(call("POST", "/teams", {"name": name, **LIMITS})["id"])
        case "customer_id":
            return str(call("POST", "/customers", {"name": name, **LIMITS})["id"])
        case "mc_id":
            scope = {"scope": "virtual_key", "scope_id": an_entity("vk_id")} if next(numbers) % 2 else {}
            return str(call("POST", "/model-configs", {"model_name": name, **scope, **LIMITS})["id"])
        case "rule_id":
            rule = {"name": name, "cel_expression": "", "scope": "global", "priority": -next(numbers), "targets": [{"weight": 1}]}
            return str(call("POST", "/routing-rules", rule)["id"])
        case "id":
            override = {"scope_kind": "global", "match_type": "exact", "pattern": "x", "request_types": ["rerank"]}
            return str(call("POST", "/pricing-overrides", {"name": name, **override})["id"])
        case "provider_name":
            return "openai"
    return "unknown"


OWNERS: Final = {"team": "team_id", "customer": "customer_id", "virtual_key": "vk_id"}


def put_right(value: Any) -> Any:
    """The same body with texts that mean something here."""
    if isinstance(value, list):
        return [put_right(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    right = {member: put_right(inner) for member, inner in value.items()}
    for member, text in value.items():
        if not isinstance(text, str):
            continue
        match member:
            case "reset_duration" | "token_reset_duration" | "request_reset_duration":
                right[member] = f"{1 + next(numbers) % 90}d"
            case "name" | "model_name":
                right[member] = f"{text[:100]} {next(numbers)}"
            case "provider":
                right[member] = "openai"
            case "expires_at":
                right[member] = "2100-01-01T00:00:00Z"
            case "cel_expression":
                right[member] = "budget_used > 80"
            case "team_id" | "customer_id":
                right[member] = an_entity(member) if next(numbers) % 2 else ""
            case "scope" if text in OWNERS:
                right["scope_id"] = an_entity(OWNERS[text])
    for member in ("fallbacks", "mcp_configs"):
        if right.get(member):
            right[member] = []
    if {"team_id", "customer_id"} <= right.keys():
        del right["team_id"]
    if right.get("budget") and right.get("budgets") is not None:
        del right["budgets"]
    return right


def check(case: schemathesis.Case) -> None:
    mode = case.meta.generation.mode if case.meta else GenerationMode.NEGATIVE
    if mode == GenerationMode.POSITIVE and next(numbers) % 2:
        case.path_parameters = {name: an_entity(name) for name in case.path_parameters or {}}
        if isinstance(case.body, dict):
            case.body = put_right(case.body)
    # More patience than the 10 seconds of schemathesis: other tests may have the processors.
    answer = case.call(headers=TOKEN, timeout=120)
    # The methods of a key by its id are those of this path, too.
    not_here = [unsupported_method, allow_header_conformance] if case.path == QUOTA else []
    case.validate_response(answer, headers=TOKEN, excluded_checks=[*NOT_CHECKED, *not_here])


def documented(method: str, path: str) -> Any:
    @DOCUMENT.include(method=method, path=path).parametrize()
    @settings(
        max_examples=4,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    def test(case: schemathesis.Case) -> None:
        check(case)

    return test


# One test function each: schemathesis would give all items of one function the same id.
for result in DOCUMENT.get_all_operations():
    assert isinstance(result, Ok)
    operation = result.ok()
    name = re.sub(r"\W+", "_", f"test_{operation.method}{operation.path}")
    globals()[name] = documented(operation.method, operation.path)
