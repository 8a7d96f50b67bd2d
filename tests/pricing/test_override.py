"""Which pricing override applies."""

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.entities import PricingOverride
from service.models.pricing_overrides import IDS_OF_SCOPE, ScopeKind
from service.models.request_types import PricedRequestType
from service.pricing.override import Overrides

IDS = {"virtual_key_id": "vk", "provider_id": "openai", "provider_key_id": "pk"}


def override(override_id: str, scope_kind: str = "global", pattern: str = "gpt-4o", **members: Any) -> PricingOverride:
    """Of a scope with the ids above; a pattern that ends with "*" is a wildcard."""
    members = {**{member: IDS[member] for member in IDS_OF_SCOPE[scope_kind]}, **members}
    return PricingOverride(
        **{
            "id": override_id,
            "name": override_id,
            "scope_kind": scope_kind,
            "match_type": "wildcard" if pattern.endswith("*") else "exact",
            "pattern": pattern,
            "request_types": ("chat_completion",),
            "patch": {},
            "created_at_ms": 1,
            "updated_at_ms": 1,
            **members,
        }
    )


def found(
    *overrides: PricingOverride,
    model: str = "gpt-4o",
    provider: str | None = "openai",
    request_type: str = "chat_completion",
    virtual_key_id: str | None = "vk",
    provider_key_id: str | None = "pk",
) -> str | None:
    """Whatever order they were read in."""
    ids = {
        one.id if one is not None else None
        for listed in (overrides, overrides[::-1])
        for one in [Overrides(listed).find((model,), provider, request_type, virtual_key_id, provider_key_id)]
    }
    assert len(ids) == 1
    return ids.pop()


NARROWEST_FIRST = (
    "virtual_key_provider_key",
    "virtual_key_provider",
    "virtual_key",
    "provider_key",
    "provider",
    "global",
)


@pytest.mark.parametrize("place", range(len(NARROWEST_FIRST)))
def test_the_narrowest_scope_goes_first(place: int):
    kinds = NARROWEST_FIRST[place:]
    assert set(NARROWEST_FIRST) == set(get_args(ScopeKind))
    assert found(*(override(kind, kind) for kind in kinds)) == kinds[0]
    # However exactly the others name the model.
    assert found(override(kinds[0], kinds[0], pattern="*"), *(override(kind, kind) for kind in kinds[1:])) == kinds[0]


@pytest.mark.parametrize(
    "asked, kind",
    [
        ({"provider_key_id": None}, "virtual_key_provider"),
        ({"provider_key_id": None, "provider": None}, "virtual_key"),
        ({"virtual_key_id": None}, "provider_key"),
        ({"virtual_key_id": None, "provider_key_id": None}, "provider"),
        ({"virtual_key_id": None, "provider_key_id": None, "provider": None}, "global"),
        ({"provider": None}, "virtual_key"),
    ],
)
def test_a_scope_whose_id_is_not_known_is_passed_over(asked: dict[str, None], kind: str):
    assert found(*(override(one, one) for one in NARROWEST_FIRST), **asked) == kind  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "patterns, model, pattern",
    [
        (["gpt-4o", "gpt-4o*", "gpt-4*", "*"], "gpt-4o", "gpt-4o"),  # exact before wildcard
        (["gpt-4o*", "gpt-4*", "*"], "gpt-4o", "gpt-4o*"),  # the longest prefix; it may be all of the name
        (["gpt-4*", "*"], "gpt-4o", "gpt-4*"),
        (["gpt-4o*", "gpt-4*"], "gpt-4.1", "gpt-4*"),
        (["gpt-4o*", "*"], "claude", "*"),
        (["gpt-4o", "gpt-4o-mini*"], "gpt-4", None),
        (["GPT-4o", "Gpt*"], "gpt-4o", None),  # letter case counts
        (["gpt-4o"], "gpt-4o-mini", None),
        (["gpt-4o-mini*"], "gpt-4o", None),
    ],
)
def test_patterns(patterns: list[str], model: str, pattern: str | None):
    assert found(*(override(one, pattern=one) for one in patterns), model=model) == pattern


def test_of_equals_the_one_updated_last():
    assert found(override("a", updated_at_ms=5), override("b", updated_at_ms=9), override("c", updated_at_ms=7)) == "b"
    assert found(override("a", pattern="g*", updated_at_ms=5), override("b", pattern="g*", updated_at_ms=4)) == "a"
    assert found(override("a", created_at_ms=2), override("b", created_at_ms=1)) == "a"
    assert found(override("a"), override("b")) == "b"


@pytest.mark.parametrize(
    "listed, asked, applies",
    [
        ("chat_completion", "chat_completion", True),
        ("chat_completion", "chat_completion_stream", True),
        ("chat_completion", "responses", False),
        ("video_generation", "video_remix", True),
        ("video_remix", "video_generation", True),
        ("image_generation", "image_variation", False),
        ("image_edit", "image_generation", False),
        ("chat_completion", "moderation", False),
    ],
)
def test_request_types(listed: str, asked: str, applies: bool):
    assert (found(override("a", request_types=("rerank", listed)), request_type=asked) == "a") is applies


@pytest.mark.parametrize("kind", NARROWEST_FIRST[:-1])
def test_other_ids_do_not_match(kind: str):
    for member in IDS_OF_SCOPE[kind]:
        for other in ("another", IDS[member].upper(), ""):
            assert found(override("a", kind, **{member: other})) is None


IDENTIFIERS = st.sampled_from(("a", "b", "A"))
NAMES = st.text("abA-", max_size=4)
OVERRIDES = st.builds(
    lambda kind, ids, match_type, name, types, updated: replace(
        override(f"{kind}{ids}{match_type}{name}{sorted(types)}{updated}", kind),
        **{member: ids[member] for member in IDS_OF_SCOPE[kind]},
        match_type=match_type,
        pattern=name + ("*" if match_type == "wildcard" else ""),
        request_types=tuple(types),
        updated_at_ms=updated,
    ),
    st.sampled_from(get_args(ScopeKind)),
    st.fixed_dictionaries(dict.fromkeys(IDS, IDENTIFIERS)),
    st.sampled_from(("exact", "wildcard")),
    NAMES,
    st.sets(st.sampled_from(get_args(PricedRequestType)[:3]), min_size=1),
    st.integers(0, 2),
)


def rank(one: PricingOverride) -> tuple[int, bool, int, int]:
    return (-NARROWEST_FIRST.index(one.scope_kind), one.match_type == "exact", len(one.pattern), one.updated_at_ms)


@given(
    st.lists(OVERRIDES, max_size=12),
    NAMES,
    st.none() | IDENTIFIERS,
    st.sampled_from(get_args(PricedRequestType)[:3]),
    st.none() | IDENTIFIERS,
    st.none() | IDENTIFIERS,
)
def test_never_out_of_scope_and_none_better_is_passed_over(
    overrides: list[PricingOverride],
    model: str,
    provider: str | None,
    request_type: str,
    virtual_key_id: str | None,
    provider_key_id: str | None,
):
    """As the contract puts it, one condition after the other, over all of them."""

    def applies(one: PricingOverride) -> bool:
        return (
            one.virtual_key_id in (None, virtual_key_id)
            and one.provider_id in (None, provider)
            and one.provider_key_id in (None, provider_key_id)
            and request_type in one.request_types
            and (model == one.pattern if one.match_type == "exact" else model.startswith(one.pattern[:-1]))
        )

    applying = [one for one in overrides if applies(one)]
    chosen = Overrides(overrides).find((model,), provider, request_type, virtual_key_id, provider_key_id)
    if not applying:
        assert chosen is None
    else:
        assert chosen is not None
        assert applies(chosen)
        assert rank(chosen) == max(map(rank, applying))
