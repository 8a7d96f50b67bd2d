"""The OpenAPI document is valid and whole, and the page that shows it needs nothing from elsewhere."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
import schemathesis
from starlette.applications import Starlette
from starlette.testclient import TestClient

from service import __version__
from service.api.openapi import docs_routes, openapi_document

DOCUMENT = openapi_document("1.2.3")

PUBLISHED = {
    ("get", "/api/governance/virtual-keys", "listVirtualKeys"),
    ("post", "/api/governance/virtual-keys", "createVirtualKey"),
    ("get", "/api/governance/virtual-keys/quota", "getVirtualKeyQuota"),
    ("get", "/api/governance/virtual-keys/{vk_id}", "getVirtualKey"),
    ("put", "/api/governance/virtual-keys/{vk_id}", "updateVirtualKey"),
    ("delete", "/api/governance/virtual-keys/{vk_id}", "deleteVirtualKey"),
    ("get", "/api/governance/teams", "listTeams"),
    ("post", "/api/governance/teams", "createTeam"),
    ("get", "/api/governance/teams/{team_id}", "getTeam"),
    ("put", "/api/governance/teams/{team_id}", "updateTeam"),
    ("delete", "/api/governance/teams/{team_id}", "deleteTeam"),
    ("get", "/api/governance/customers", "listCustomers"),
    ("post", "/api/governance/customers", "createCustomer"),
    ("get", "/api/governance/customers/{customer_id}", "getCustomer"),
    ("put", "/api/governance/customers/{customer_id}", "updateCustomer"),
    ("delete", "/api/governance/customers/{customer_id}", "deleteCustomer"),
    ("get", "/api/governance/budgets", "listBudgets"),
    ("get", "/api/governance/rate-limits", "listRateLimits"),
    ("get", "/api/governance/routing-rules", "listRoutingRules"),
    ("post", "/api/governance/routing-rules", "createRoutingRule"),
    ("get", "/api/governance/routing-rules/{rule_id}", "getRoutingRule"),
    ("put", "/api/governance/routing-rules/{rule_id}", "updateRoutingRule"),
    ("delete", "/api/governance/routing-rules/{rule_id}", "deleteRoutingRule"),
    ("get", "/api/governance/model-configs", "listModelConfigs"),
    ("post", "/api/governance/model-configs", "createModelConfig"),
    ("get", "/api/governance/model-configs/{mc_id}", "getModelConfig"),
    ("put", "/api/governance/model-configs/{mc_id}", "updateModelConfig"),
    ("delete", "/api/governance/model-configs/{mc_id}", "deleteModelConfig"),
    ("get", "/api/governance/providers", "listProviderGovernance"),
    ("put", "/api/governance/providers/{provider_name}", "updateProviderGovernance"),
    ("delete", "/api/governance/providers/{provider_name}", "deleteProviderGovernance"),
    ("get", "/api/governance/pricing-overrides", "listPricingOverrides"),
    ("post", "/api/governance/pricing-overrides", "createPricingOverride"),
    ("put", "/api/governance/pricing-overrides/{id}", "updatePricingOverride"),
    ("delete", "/api/governance/pricing-overrides/{id}", "deletePricingOverride"),
}

CHANGE_NOTHING = {"evaluateRoutingRules"}

OF_THE_SERVICE = {"/health", "/livez", "/readyz", "/api/version", "/openapi.json", "/docs", "/metrics"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def values(inside: Any, name: str) -> Iterator[Any]:
    """Every value of a member with this name, however deep."""
    if isinstance(inside, dict):
        for member, value in inside.items():
            if member == name:
                yield value
            yield from values(value, name)
    elif isinstance(inside, list):
        for value in inside:
            yield from values(value, name)


def test_the_document_is_valid():
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    assert DOCUMENT["openapi"].startswith("3.1")
    assert DOCUMENT["info"]["version"] == "1.2.3"


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_schemas_are_valid(name: str):
    jsonschema.Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


def test_references_lead_somewhere_and_every_schema_is_used():
    used = set()
    for reference in values(DOCUMENT, "$ref"):
        target: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        used.add(reference)
    assert {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]} <= used
    assert {f"#/components/responses/{name}" for name in DOCUMENT["components"]["responses"]} <= used


def test_every_published_operation_is_there():
    found = {(method, path, operation["operationId"]) for method, path, operation in operations()}
    assert found >= PUBLISHED
    assert len({identifier for _, _, identifier in found}) == len(found)
    assert {path for _, path, _ in found} >= OF_THE_SERVICE


def test_lists_bound_their_entries():
    """`maxLength` on an array, which the models can produce by mistake, would mean nothing."""
    for schema in (*values(DOCUMENT, "schema"), *DOCUMENT["components"]["schemas"].values()):
        for properties in values({"schema": schema}, "properties"):
            for member in properties.values():
                for shape in (member, *member.get("anyOf", ())):
                    assert not (shape.get("type") == "array" and {"maxLength", "minLength"} & shape.keys())


@pytest.mark.parametrize("method, path, operation", [*operations()], ids=lambda value: value if isinstance(value, str) else "")
def test_operations(method: str, path: str, operation: dict[str, Any]):
    in_path = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", path))
    assert ("requestBody" in operation) == (method in ("post", "put"))
    statuses = set(operation["responses"])
    if path in OF_THE_SERVICE:
        assert operation["security"] == []
        return
    if operation["tags"] == ["Enforcement"]:
        assert {"QuotaTokenAuth": []} in operation["security"]
        assert {"VirtualKeyAuth": []} not in operation["security"]
        assert statuses >= {"400", "401", "500", "503"}
        return
    assert ("404" in statuses) == (bool(in_path))
    assert statuses >= {"500", "503"}
    if method in ("post", "put"):
        assert statuses >= {"400", "413"}
        assert ("409" in statuses) == (operation["operationId"] not in CHANGE_NOTHING)
    if path.endswith("/quota"):
        assert [*operation["security"]] == [{"VirtualKeyAuth": []}, {"BearerAuth": []}, {"ApiKeyAuth": []}]
    else:
        assert statuses >= {"401", "403"}
        assert "security" not in operation


PUBLISHED_PARAMETERS = [
    ("get", "/api/governance/virtual-keys", {"from_memory", "limit", "offset", "search", "customer_id", "team_id"}),
    ("get", "/api/governance/virtual-keys/{vk_id}", {"from_memory", "vk_id"}),
    ("get", "/api/governance/teams", {"customer_id", "from_memory", "limit", "offset", "search"}),
    ("get", "/api/governance/customers", {"from_memory", "limit", "offset", "search"}),
    ("get", "/api/governance/budgets", {"from_memory"}),
    ("get", "/api/governance/rate-limits", {"from_memory"}),
    ("get", "/api/governance/routing-rules", {"scope", "scope_id", "limit", "offset", "search"}),
    ("get", "/api/governance/model-configs", {"limit", "offset", "search", "scope", "provider"}),
    ("get", "/api/governance/pricing-overrides", {"scope_kind", "virtual_key_id", "provider_id", "provider_key_id"}),
]


@pytest.mark.parametrize("method, path, names", PUBLISHED_PARAMETERS)
def test_parameters(method: str, path: str, names: set[str]):
    assert {parameter["name"] for parameter in DOCUMENT["paths"][path][method]["parameters"]} >= names


def test_members_that_may_be_left_out_have_no_default_null():
    assert None not in [default for default in values(DOCUMENT["components"], "default") if default is None]


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(Starlette(routes=docs_routes())) as client:
        yield client


def test_the_document_is_served(client: TestClient):
    answer = client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == openapi_document(__version__)


class Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_loads_only_what_is_here(client: TestClient):
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    addresses = Addresses()
    addresses.feed(page.text)
    assert len(addresses.found) >= 3
    for address in addresses.found:
        assert not re.match(r"[a-z]+:|/", address), "a relative address works behind a prefix and without the internet"
        assert client.get(f"/{address}").status_code == 200, address
