"""What routing rules cost: a decision with none, with 1,000 in scope that do not match, and with one after them that does.

    python -m bench.routing [--rules 1000] [--decisions 2000] [--redis-url URL]

`select` is the choice of a route alone. `reserve` is a whole decision in one process, against a Redis of its own unless
--redis-url is given (it is flushed!), one decision after the other, nothing merged. The figures are microseconds of processor
time of this process per decision, the best of five rounds, so that what else the machine does matters little; "beside no
rules" is the ratio to the first line.
"""

import argparse
import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from bench.servers import end_as_by_ctrl_c
from service.entities import Kind, ProviderConfig, RoutingRule, RoutingTarget, VirtualKey
from service.models.enforcement import ReserveRequest
from service.quota.enforcer import Enforcer, open_enforcer
from service.quota.reserve import Admission, reserve
from service.routing.rules import NOBODY, Rules
from service.routing.select import Aim, RoutedRequest, select
from service.routing.usage import NO_USAGE, Usage
from service.settings import Settings
from service.store.change import Change, commit
from service.store.connection import Store, open_store
from service.store.embedded import embedded_redis
from service.store.keys import virtual_key_id

ROUNDS = 5
VALUE = "sk-bf-00000000-0000-4000-8000-000000000000"
HEADERS = {f"x-header-{number}": "a value as headers have them" for number in range(20)}

CONDITIONS = {
    "model": 'model == "model-{number}"',
    "header": '"x-tenant" in headers && headers["x-tenant"] == "tenant-{number}"',
    "missing header": 'headers["x-tenant"] == "tenant-{number}"',
    "pattern": 'model.matches("^gpt-[0-9]+-{number}$")',
    "several": 'provider == "openai" && team_name == "team {number}" && request_type in ["chat_completion", "responses"]',
}


def rules_of(condition: str, count: int, *, hit: bool) -> list[RoutingRule]:
    """`count` rules that do not match, and one after them that does."""
    texts = [condition.replace("{number}", str(number)) for number in range(count)] + ["" for _ in range(hit)]
    target = RoutingTarget(provider="azure", model=None, key_id=None, weight=1.0)
    return [
        RoutingRule(
            id=f"rule-{number}",
            name=f"rule {number}",
            cel_expression=text,
            targets=(target,),
            priority=number,
            created_at_ms=0,
            updated_at_ms=0,
        )
        for number, text in enumerate(texts)
    ]


async def best(decide: Callable[[int], Awaitable[object]], decisions: int) -> float:
    """Microseconds of processor time per decision."""
    found = []
    for attempt in range(ROUNDS):
        started = time.process_time()
        for number in range(decisions):
            await decide(attempt * decisions + number)
        found.append((time.process_time() - started) / decisions)
    return min(found) * 1e6


async def no_usage(aim: Aim) -> Usage:
    return NO_USAGE


async def time_select(rules: list[RoutingRule], decisions: int) -> float:
    prepared = Rules(rules)

    async def decide(number: int) -> None:
        request = RoutedRequest(
            request_id=f"request-{number}",
            aim=Aim("openai", "gpt-4o"),
            request_type="chat_completion",
            headers=HEADERS,
            params={},
            caller=NOBODY,
        )
        await select(prepared.in_scope(NOBODY), request, no_usage)

    return await best(decide, decisions)


async def time_reserve(store: Store, rules: list[RoutingRule], decisions: int) -> float:
    enforcer = await configured(store, rules)
    request = ReserveRequest.model_validate({"provider": "openai", "model": "gpt-4o", "tokens": 100, "headers": HEADERS})

    async def decide(number: int) -> None:
        assert isinstance(await reserve(enforcer, request, VALUE, f"request-{number}"), Admission)

    await decide(-1)
    return await best(decide, decisions)


async def configured(store: Store, rules: list[RoutingRule]) -> Enforcer:
    await store.redis.flushall()
    configs = tuple(
        ProviderConfig(
            id=number,
            provider=provider,
            weight=1.0,
            allowed_models=("*",),
            blacklisted_models=(),
            allow_all_keys=True,
            key_ids=(),
        )
        for number, provider in enumerate(("openai", "azure"), start=1)
    )
    key = VirtualKey(
        id=virtual_key_id(VALUE), name="bench", value=VALUE, provider_configs=configs, created_at_ms=0, updated_at_ms=0
    )
    change = Change(0)
    change.create(Kind.VIRTUAL_KEY, key)
    for rule in rules:
        change.create(Kind.ROUTING_RULE, rule)
    assert await commit(store, change)
    return open_enforcer(Settings(), store)


async def measure(redis_url: str, count: int, decisions: int) -> None:
    store = open_store(Settings(), redis_url, timeout_ms=10_000)
    server = await store.redis.info("server")
    print(f"Redis {server['redis_version']}, {decisions} decisions a round, microseconds of processor time per decision\n")
    print(f"{'rules in scope':<40}{'select':>10}{'reserve':>10}{'beside no rules':>18}")
    without = await time_reserve(store, [], decisions)
    print(f"{'none':<40}{await time_select([], decisions):>10.1f}{without:>10.0f}{1:>18.2f}")
    lines = [("1 that matches", rules_of("", 0, hit=True))]
    lines += [(f"{count}, {name}", rules_of(condition, count, hit=False)) for name, condition in CONDITIONS.items()]
    lines.append((f"{count}, header, and 1 that matches", rules_of(CONDITIONS["header"], count, hit=True)))
    for name, rules in lines:
        selected = await time_select(rules, max(1, decisions // 10))
        reserved = await time_reserve(store, rules, max(1, decisions // 10))
        print(f"{name:<40}{selected:>10.1f}{reserved:>10.0f}{reserved / without:>18.2f}")
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--decisions", type=int, default=2000)
    parser.add_argument("--redis-url")
    options = parser.parse_args()
    end_as_by_ctrl_c()
    with contextlib.ExitStack() as stack:
        url = options.redis_url or stack.enter_context(embedded_redis(None, logging.getLogger("bench")))
        asyncio.run(measure(url, options.rules, options.decisions))


if __name__ == "__main__":
    main()
