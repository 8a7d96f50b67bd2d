"""No worker grows with what it is asked: every cache holds so many entries and no more, most as many as a setting says."""

import ast
import gc
import importlib
import pkgutil
import weakref
from collections.abc import Awaitable, Callable, Iterator
from functools import _lru_cache_wrapper, lru_cache
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

import service
from service.app import Application
from service.durations import parse_duration
from service.quota import plan
from service.remembered import LONGEST_REMEMBERED, remembered
from service.store import keys
from tests.api.calls import ROUTING_RULES, TEAMS, VIRTUAL_KEYS, create, update
from tests.api.conftest import MakeApp
from tests.api.gateway import CALL, admitted, budget, call, create_key, rate_limit, reserve, settle
from tests.api.growth import kept_by

SOURCES = sorted(Path(service.__file__).parent.rglob("*.py"))
FEW: Final = {"cached_keys": 3, "cached_plans": 4, "cached_reservations": 5}
ENDLESS: Final = {
    "service/metrics.py": "labels are words of the service's own; models are counted up to a bound",
}
"""Where functools.cache may stand, and why."""
CONSTANT: Final = (
    # Bounded by a constant that this test does not reach: see tests/pricing/test_book.py, tests/api/test_metrics.py and below.
    "service.pricing.book._Recent._kept",
    "service.metrics._models",
)


def clients(app: Application) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost/api/governance")


async def one_of_everything(client: httpx.AsyncClient, other_worker: httpx.AsyncClient, number: int) -> None:
    """All calls of gateways by a key, a team and a model of their own, and a change of the key in their midst."""
    team = await create(client, TEAMS, budgets=[budget(10)])
    requests = rate_limit(requests=100 + number, per=f"{number + 1}h")
    key = await create_key(client, team_id=team["id"], budgets=[budget(5)], rate_limit=requests, enforcement="strict")
    asked: dict[str, Any] = {"model": f"model-{number}", "tokens": 10, "cost": 0.001}
    headers = {"x-bf-vk": key["value"]}
    for _ in range(2):
        assert (await client.get("/virtual-keys/quota", headers=headers)).status_code == 200
        settled, released, left = [await admitted(client, key, **asked) for _ in range(3)]
        await settle(client, settled["reservation_id"], input_tokens=5, cost=0.001)
        assert (await call(client, "renew", reservation_id=left["reservation_id"])).status_code == 200
        assert (await call(client, "release", reservation_id=released["reservation_id"])).status_code == 200
        # Reserved by one worker, settled by another one, which must find the plan.
        elsewhere = await admitted(other_worker, key, **asked)
        await settle(client, elsewhere["reservation_id"], input_tokens=5, cost=0.001)
        used = {"provider": "openai", "model": f"model-{number}", "input_tokens": 5, "cost": 0.001}
        assert (await call(client, "settle", key, reservation_id=f"unreserved {number}", **used)).status_code == 200
        assert (await call(client, "explain", key, **CALL | asked)).status_code == 200
        assert (await reserve(client, key, **asked | {"cost": 100})).status_code == 402
        query = f"provider=openai&model=model-{number}"
        assert (await client.get(f"/quota/authorize?{query}", headers=headers)).status_code == 200
        assert (await client.get("/quota/authorize", headers={"x-bf-vk": f"sk-bf-nobody-{number}"})).status_code == 401
        operations = [{"op": "reserve", **CALL, **asked}, {"op": "settle", "reservation_id": f"nobody {number}"}]
        assert (await call(client, "batch", key, operations=operations)).status_code == 200
        await update(client, VIRTUAL_KEYS, key["id"], budgets=[budget(6)])


Step = Callable[[httpx.AsyncClient, httpx.AsyncClient, int], Awaitable[None]]


async def only_reserved(client: httpx.AsyncClient, _: httpx.AsyncClient, number: int) -> None:
    await admitted(client, await create_key(client, budgets=[budget(10)]), model=f"model-{number}")


@pytest.mark.parametrize("step", [one_of_everything, only_reserved])
async def test_nothing_grows_with_keys_models_or_requests(make_app: MakeApp, step: Step, monkeypatch: pytest.MonkeyPatch):
    # It keeps what is made of its limits, too, and holds more than this test makes.
    monkeypatch.setattr(plan, "_plan_shared_limits", lru_cache(maxsize=4)(plan._plan_limits))
    app = make_app(**FEW)
    async with clients(app) as client, clients(make_app(**FEW)) as other_worker:
        targets = [{"provider": "openai", "weight": 1}]
        await create(client, ROUTING_RULES, scope="global", priority=1, cel_expression="model == 'none'", targets=targets)
        for number in range(10):
            await step(client, other_worker, number)
        warm = kept_by(app, sealed=CONSTANT)
        for number in range(10, 30):
            await step(client, other_worker, number)
        full = kept_by(app, sealed=CONSTANT)
    grown = {place: (warm[place], count) for place, count in full.items() if count > warm[place]}
    assert {place: counts for place, counts in grown.items() if place not in CONSTANT} == {}
    # The walk has seen the caches themselves.
    assert full["service.quota.plans.Kept._values"] == FEW["cached_keys"] + FEW["cached_plans"]
    assert full["service.store.reservations.Reservations._made"] == FEW["cached_reservations"]
    if step is one_of_everything:
        assert full["service.store.quota.QuotaReader._known"] == FEW["cached_keys"]


class Subject:
    """Something of which something is made."""


def test_what_is_remembered_goes_with_its_subject():
    made: list[int] = []

    @remembered()
    def make(subject: Subject) -> int:
        made.append(id(subject))
        return id(subject)

    subjects = [Subject() for _ in range(100)]
    assert [make(subject) for subject in subjects] == made
    assert [make(subject) for subject in subjects] == made
    alive = weakref.WeakSet(subjects)
    del subjects[1:]
    gc.collect()
    assert len(alive) == 1
    # Others have come by the ids of those that went, and are not taken for them.
    others = [Subject() for _ in range(1_000)]
    for other in others:
        assert make(other) == id(other)
    assert len(made) == 1_100


def test_what_is_remembered_is_forgotten_when_it_is_too_much():
    made: list[int] = []

    @remembered(largest=3)
    def make(subject: Subject) -> int:
        made.append(id(subject))
        return id(subject)

    subjects = [Subject() for _ in range(7)]
    assert [make(subject) for subject in subjects] == made
    # Three and three were forgotten when there was no room for another one.
    assert (make(subjects[6]), make(subjects[0])) == (id(subjects[6]), id(subjects[0]))
    assert made == [*map(id, subjects), id(subjects[0])]


def cached_functions() -> Iterator[tuple[str, "_lru_cache_wrapper[Any]"]]:
    for found in pkgutil.walk_packages(service.__path__, "service."):
        if found.name == "service.__main__":
            continue
        for name, value in vars(importlib.import_module(found.name)).items():
            if isinstance(value, _lru_cache_wrapper):
                yield f"{found.name}.{name}", value


def test_functions_that_keep_results_keep_so_many():
    unbounded = {name for name, function in cached_functions() if function.cache_parameters()["maxsize"] is None}
    assert {name.rpartition(".")[0] for name in unbounded} <= {file[:-3].replace("/", ".") for file in ENDLESS}
    assert max(function.cache_parameters()["maxsize"] or 0 for _, function in cached_functions()) <= 100_000


async def present(client: httpx.AsyncClient, number: int, padding: str) -> None:
    """All that is looked up by what callers may send, whoever they are: keys, and the names that we are called by."""
    key = {"x-bf-vk": f"sk-bf-{number}{padding}"}
    assert (await client.get("/virtual-keys/quota", headers=key)).status_code == 401
    assert (await client.get("/quota/authorize", headers=key)).status_code == 401
    for names in ({"host": f"a{number}{padding}"}, {"origin": f"http://a{number}{padding}"}):
        assert (await client.get("/quota/authorize", headers=key | names)).status_code == 403


async def test_long_values_are_not_remembered(make_app: MakeApp):
    """A header may be many kilobytes long: caches full of them would be gigabytes."""
    async with clients(make_app()) as client:
        sizes: list[dict[str, int]] = []
        for padding in ("", "x" * 50_000, ""):
            for number in range(3):
                await present(client, number + 10 * len(sizes), padding)
            # Not those of the standard library: urlsplit keeps a hundred texts, of any length.
            ours = [(name, function) for name, function in cached_functions() if function.__module__.startswith("service.")]
            sizes.append({name: function.cache_info().currsize for name, function in ours})
    short, long, short_again = sizes
    assert long == short
    # Those of this test are remembered while they are short.
    grown = {name for name, size in short_again.items() if size > long[name]}
    assert grown == {
        "service.api.credentials._is_local",
        "service.store.keys._remembered_key_id",
    }


def test_the_id_of_a_long_value_is_that_of_any_other():
    value = "x" * LONGEST_REMEMBERED
    assert keys.virtual_key_id(value) == keys._make_key_id(value) != keys.virtual_key_id(value + "x")
    assert keys.virtual_key_id(value + "x") == keys._make_key_id(value + "x")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(Path(service.__file__).parents[1])))
def test_no_function_keeps_all_its_results(path: Path):
    """Nested functions and methods included: functools.cache and lru_cache(maxsize=None) stand in ENDLESS only."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "functools":
            found += [alias.name for alias in node.names if alias.name == "cache"]
        elif isinstance(node, ast.Attribute) and node.attr == "cache":
            found.append(ast.unparse(node))
        elif isinstance(node, ast.keyword) and node.arg == "maxsize" and getattr(node.value, "value", 0) is None:
            found.append("maxsize=None")
    assert found == [] or str(path.relative_to(Path(service.__file__).parents[1])) in ENDLESS


@pytest.mark.parametrize("function, argument", [(keys._remembered_key_id, "sk-bf-{}"), (parse_duration, "{}s")])
def test_a_function_forgets_the_results_used_longest_ago(function: Any, argument: str):
    largest = function.cache_parameters()["maxsize"]
    for number in range(1, largest + 2):
        function(argument.format(number))
    assert function.cache_info().currsize == largest
    misses = function.cache_info().misses
    function(argument.format(largest + 1))
    assert function.cache_info().misses == misses
    function(argument.format(1))
    assert function.cache_info().misses == misses + 1
