"""Calls of gateways: a call of a batch, which is decoded already, is understood as one that comes alone."""

import json
import math
from typing import Any

import pytest
from pydantic import BaseModel

from service.errors import InvalidRequest
from service.models.enforcement import ReleaseRequest, RenewRequest, ReserveRequest, SettleRequest
from service.models.parsing import parse

ROUTE = {"provider": "openai", "model": "gpt-4o", "request_type": "responses", "virtual_key": "sk-bf-1"}
RESERVE = {
    **ROUTE,
    "request_id": "a",
    "input_tokens": 1,
    "max_output_tokens": 2,
    "tokens": 3,
    "cost": 1,
    "headers": {"B": "2", "a": "1"},
    "params": {},
    "ttl": "30s",
}
SETTLE = {
    **ROUTE,
    **dict.fromkeys(SettleRequest.model_fields, 1),
    **ROUTE,
    "reservation_id": "a",
    "status": "failed",
    "size": "1024x1024",
    "quality": "high",
    "service_tier": "priority",
    "batch": True,
    "provider_key_id": "k",
    "seconds": 1.5,
}


@pytest.mark.parametrize(
    "model, sent",
    [
        (ReserveRequest, RESERVE),
        (ReserveRequest, dict.fromkeys(RESERVE)),
        (SettleRequest, SETTLE),
        (SettleRequest, {"reservation_id": "a", "gen_ai.usage.input_tokens": 7}),
        (ReleaseRequest, {"reservation_id": "a", "else": [1, {"b": None}]}),
        (RenewRequest, {"reservation_id": "a", "ttl": "1h"}),
    ],
)
def test_decoded_or_not_a_call_is_understood_the_same(model: type[BaseModel], sent: dict[str, Any]):
    alone, batched = parse(model, json.dumps(sent).encode()), parse(model, sent)
    assert alone == batched
    assert alone.model_dump_json() == batched.model_dump_json()
    assert alone.model_fields_set == batched.model_fields_set


def test_every_member_is_tried():
    assert RESERVE.keys() == ReserveRequest.model_fields.keys()
    assert SETTLE.keys() == SettleRequest.model_fields.keys()


@pytest.mark.parametrize(
    "sent",
    [
        {"input_tokens": 1.0},
        {"input_tokens": "1"},
        {"input_tokens": True},
        {"input_tokens": -1},
        {"input_tokens": 10**30},
        {"input_tokens": 2**52, "max_output_tokens": 2**52},
        {"cost": "1"},
        {"cost": True},
        {"cost": 1e300},
        {"model": 5},
        {"model": ""},
        {"model": "a\0b"},
        {"headers": []},
        {"headers": {"a": 1}},
        {"request_id": "\n", "ttl": "5x"},
    ],
)
def test_decoded_or_not_a_bad_call_is_blamed_the_same(sent: dict[str, Any]):
    with pytest.raises(InvalidRequest) as alone:
        parse(ReserveRequest, json.dumps(sent).encode())
    with pytest.raises(InvalidRequest) as batched:
        parse(ReserveRequest, sent)
    assert (alone.value.message, alone.value.param) == (batched.value.message, batched.value.param)


def test_what_is_too_large_to_be_a_number_is_refused():
    with pytest.raises(InvalidRequest, match="cost must be a finite number"):
        parse(ReserveRequest, {"cost": math.inf})


@pytest.mark.parametrize("size", ["auto", "1024", "1024x1024\n", "1024X1024", "0x"])
def test_a_size_that_is_none_is_told_what_one_is(size: str):
    with pytest.raises(InvalidRequest, match=r"^size must be width and height in pixels, such as 1024x1024"):
        parse(SettleRequest, {"reservation_id": "a", "size": size})


@pytest.mark.parametrize("sent", [{}, {"input_tokens": 1, "output_tokens": 2}, {"status": "success", **ROUTE}])
def test_a_usage_of_tokens_alone(sent: dict[str, Any]):
    assert parse(SettleRequest, {"reservation_id": "a", **sent}).uses_only_tokens


@pytest.mark.parametrize("member", ["cached_input_tokens", "searches", "sessions", "service_tier", "batch", "seconds", "images"])
def test_a_usage_with_something_else(member: str):
    assert not parse(SettleRequest, {"reservation_id": "a", member: SETTLE[member]}).uses_only_tokens
