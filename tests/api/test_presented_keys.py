"""Where a virtual key may stand in the headers of a quota read, and which of several is taken."""

from base64 import b64encode

import httpx
import pytest

from tests.api.calls import VIRTUAL_KEYS, Entity, create, get
from tests.api.conftest import MakeClient

QUOTA = "/virtual-keys/quota"
MISSING, UNKNOWN = "Missing virtual key", "Virtual key not found"

PRESENTED: list[tuple[dict[str, str], str]] = [
    # headers, where A and B stand for the values of two keys; whose quota is answered, or the refusal
    ({}, MISSING),
    ({"x-bf-vk": "A"}, "a"),
    ({"X-BF-VK": "A"}, "a"),
    ({"Authorization": "Bearer A"}, "a"),
    ({"authorization": "bearer A"}, "a"),
    ({"authorization": "BEARER A"}, "a"),
    ({"authorization": "Bearer    A  "}, "a"),
    ({"x-api-key": "A"}, "a"),
    ({"x-goog-api-key": "A"}, "a"),
    ({"api-key": "A"}, "a"),
    # the first hit wins
    ({"x-bf-vk": "A", "authorization": "Bearer B"}, "a"),
    ({"api-key": "B", "x-goog-api-key": "B", "x-api-key": "B", "authorization": "Bearer B", "x-bf-vk": "A"}, "a"),
    ({"api-key": "B", "x-goog-api-key": "B", "x-api-key": "B", "authorization": "Bearer A"}, "a"),
    ({"api-key": "B", "x-goog-api-key": "B", "x-api-key": "A"}, "a"),
    ({"api-key": "B", "x-goog-api-key": "A"}, "a"),
    # empty values are skipped
    ({"x-bf-vk": "", "authorization": "Bearer A"}, "a"),
    ({"authorization": "", "x-api-key": "A"}, "a"),
    ({"authorization": "Bearer ", "x-api-key": "A"}, "a"),
    ({"x-api-key": "", "x-goog-api-key": "", "api-key": "A"}, "a"),
    ({"x-bf-vk": "", "authorization": "", "x-api-key": "", "x-goog-api-key": "", "api-key": ""}, MISSING),
    # what has no prefix is somebody else's credential, and the next header is tried
    ({"authorization": "Bearer sk-openai", "x-api-key": "A"}, "a"),
    ({"authorization": "Bearer sk-openai", "x-api-key": "sk-ant", "x-goog-api-key": "A"}, "a"),
    ({"x-api-key": "sk-ant", "x-goog-api-key": "AIza", "api-key": "A"}, "a"),
    ({"authorization": "Basic A", "x-api-key": "A"}, "a"),
    ({"authorization": "Bearer sk-openai"}, MISSING),
    ({"x-api-key": "sk-ant", "x-goog-api-key": "AIza", "api-key": "azure"}, MISSING),
    ({"authorization": "Basic " + b64encode(b"user:sk-bf-x").decode()}, MISSING),
    ({"authorization": "Basic A"}, MISSING),
    ({"authorization": "A"}, MISSING),
    ({"authorization": "BearerA"}, MISSING),
    ({"authorization": "Bearer"}, MISSING),
    ({"authorization": "Token A"}, MISSING),
    ({"cookie": "x-bf-vk=A", "x-virtual-key": "A", "x-quota-token": "A"}, MISSING),
    # except in its own header, where anything is meant to be a key
    ({"x-bf-vk": "nonsense"}, UNKNOWN),
    ({"x-bf-vk": "Bearer A"}, UNKNOWN),
    ({"x-bf-vk": "nonsense", "authorization": "Bearer A"}, UNKNOWN),
    # only the first candidate is looked up
    ({"x-bf-vk": "sk-bf-wrong", "authorization": "Bearer A", "x-api-key": "A"}, UNKNOWN),
    ({"authorization": "Bearer sk-bf-wrong", "x-api-key": "A"}, UNKNOWN),
    ({"x-api-key": "sk-bf-wrong", "x-goog-api-key": "A"}, UNKNOWN),
    ({"x-goog-api-key": "sk-bf-wrong", "api-key": "A"}, UNKNOWN),
    # the prefix is recognised in any letter case, the value is not
    ({"authorization": "Bearer SK-BF-wrong", "x-api-key": "A"}, UNKNOWN),
    ({"authorization": "Bearer sK-bF-A", "x-api-key": "A"}, UNKNOWN),
    ({"x-api-key": "SK-BF-WRONG", "api-key": "A"}, UNKNOWN),
]


async def ask(client: httpx.AsyncClient, headers: dict[str, str], keys: dict[str, Entity]) -> str:
    """Name of the key that is answered, or the text of the refusal."""
    values = {name.upper(): key["value"] for name, key in keys.items()}
    sent = {}
    for name, text in headers.items():
        words = [values.get(word, word) for word in text.split(" ")]
        sent[name] = " ".join(words)
    response = await client.get(QUOTA, headers=sent)
    body = response.json()
    if response.status_code == 200:
        return str(body["virtual_key_name"])
    assert (response.status_code, body.keys()) == (401, {"error"})
    return str(body["error"])


@pytest.mark.parametrize("admin_token", [(), ("admin",)])
async def test_the_first_header_with_a_key_decides(make_client: MakeClient, admin_token):
    admin = make_client(admin_token=admin_token, headers={"x-api-key": "admin"})
    keys = {name: await create(admin, VIRTUAL_KEYS, name=name) for name in ("a", "b")}
    client = make_client(admin_token=admin_token)
    for headers, answer in PRESENTED:
        assert await ask(client, headers, keys) == answer, headers
        spelled = {name.title(): value for name, value in headers.items()}
        assert await ask(client, spelled, keys) == answer, spelled


async def test_admin_and_gateway_tokens_read_no_quota_and_do_not_disturb(make_client: MakeClient):
    tokens = {"admin_token": ("admin",), "gateway_token": ("gateway",)}
    admin = make_client(**tokens, headers={"x-api-key": "admin"})
    keys = {"a": await create(admin, VIRTUAL_KEYS, name="a")}
    client = make_client(**tokens)
    basic = b64encode(b"root:admin").decode()
    for headers, answer in [
        ({"authorization": "Bearer admin"}, MISSING),
        ({"x-api-key": "admin"}, MISSING),
        ({"authorization": f"Basic {basic}"}, MISSING),
        ({"authorization": "Bearer gateway"}, MISSING),
        ({"x-quota-token": "gateway"}, MISSING),
        ({"x-bf-vk": "admin"}, UNKNOWN),
        ({"authorization": "Bearer admin", "x-api-key": "A"}, "a"),
        ({"authorization": f"Basic {basic}", "x-bf-vk": "A"}, "a"),
    ]:
        assert await ask(client, headers, keys) == answer, headers


async def test_a_key_in_the_query_or_the_path_is_no_credential(client):
    key = await create(client, VIRTUAL_KEYS)
    response = await client.get(QUOTA, params={"x-bf-vk": key["value"], "key": key["value"]})
    assert response.json() == {"error": MISSING}
    assert (await client.get(f"/virtual-keys/{key['value']}")).status_code == 404
    assert (await get(client, VIRTUAL_KEYS, key["id"]))["value"] == key["value"]
