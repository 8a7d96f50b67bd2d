"""Pricing overrides on the wire: which prices, of which models, for whom."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from service.models.parsing import MemberError
from service.models.prices import PricingPatch
from service.models.request_types import PricedRequestType
from service.models.responses import Page, ResponseModel, Timestamp
from service.models.strict import StrictModel
from service.models.text import MAX_ENTRIES, MAX_NAME, Name, Reference

ScopeKind = Literal["global", "provider", "provider_key", "virtual_key", "virtual_key_provider", "virtual_key_provider_key"]
MatchType = Literal["exact", "wildcard"]

IDS_OF_SCOPE: dict[str, frozenset[str]] = {
    "global": frozenset(),
    "provider": frozenset({"provider_id"}),
    "provider_key": frozenset({"provider_key_id"}),
    "virtual_key": frozenset({"virtual_key_id"}),
    "virtual_key_provider": frozenset({"virtual_key_id", "provider_id"}),
    "virtual_key_provider_key": frozenset({"virtual_key_id", "provider_id", "provider_key_id"}),
}
"""The ids each kind of scope needs; the others must not be there."""

SCOPE_IDS = ("virtual_key_id", "provider_id", "provider_key_id")


def wrong_scope_id(scope_kind: str, ids: dict[str, str | None]) -> tuple[str, str] | None:
    """The first id that is missing or out of place, and what is wanted of it."""
    for member in SCOPE_IDS:
        needed = member in IDS_OF_SCOPE[scope_kind]
        if needed and ids[member] is None:
            return member, f"is required in scope {scope_kind}"
        if not needed and ids[member] is not None:
            return member, f"must not be sent in scope {scope_kind}"
    return None


def wrong_pattern(match_type: str, pattern: str) -> str | None:
    """What is wanted of a pattern that does not go with its match type."""
    stars = pattern.count("*")
    if match_type == "exact" and stars:
        return 'must not contain "*" when match_type is exact'
    if match_type == "wildcard" and (stars != 1 or not pattern.endswith("*")):
        return 'must have one "*", at its end, when match_type is wildcard'
    return None


Pattern = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME),
    Field(
        description="The model, or with match_type wildcard the beginning of its name and a `*`. Spaces around it are dropped."
    ),
]
RequestTypes = Annotated[tuple[PricedRequestType, ...], Field(min_length=1, max_length=MAX_ENTRIES)]


def _id_or_none(text: str | None) -> str | None:
    return text if text and text.strip() else None


class _PricingOverrideRequest(StrictModel):
    virtual_key_id: Reference | None = Field(default=None, description="The id of a virtual key, not its value.")
    provider_id: Reference | None = Field(default=None, description="The name of a provider.")
    provider_key_id: Reference | None = Field(default=None, description="The id of a provider's key.")
    patch: PricingPatch | None = None

    @property
    def scope_ids(self) -> dict[str, str | None]:
        """The three ids; blank ones count as absent."""
        return {member: _id_or_none(getattr(self, member)) for member in SCOPE_IDS}

    def _check_scope(self, scope_kind: str) -> None:
        wrong = wrong_scope_id(scope_kind, self.scope_ids)
        if wrong is not None:
            raise MemberError(*wrong)


class CreatePricingOverrideRequest(_PricingOverrideRequest):
    name: Name
    scope_kind: ScopeKind
    match_type: MatchType
    pattern: Pattern
    request_types: RequestTypes

    @model_validator(mode="after")
    def _members_agree(self) -> Self:
        self._check_scope(self.scope_kind)
        wrong = wrong_pattern(self.match_type, self.pattern)
        if wrong is not None:
            raise MemberError("pattern", wrong)
        return self


class UpdatePricingOverrideRequest(_PricingOverrideRequest):
    """What is left out, or null, stays as it is, except for the ids: without scope_kind a null one is cleared; with it all three
    are as sent. Whether everything goes together is checked with what is stored.
    """

    name: Name | None = None
    scope_kind: ScopeKind | None = None
    match_type: MatchType | None = None
    pattern: Pattern | None = None
    request_types: RequestTypes | None = None

    @model_validator(mode="after")
    def _members_agree(self) -> Self:
        if self.scope_kind is not None:
            self._check_scope(self.scope_kind)
        else:
            for member, scope_id in self.sent_ids.items():
                if scope_id is not None and not scope_id.strip():
                    raise MemberError(member, "must not be blank: null clears it")
        if self.match_type is not None and self.pattern is not None:
            wrong = wrong_pattern(self.match_type, self.pattern)
            if wrong is not None:
                raise MemberError("pattern", wrong)
        return self

    @property
    def sent_ids(self) -> dict[str, str | None]:
        """The ids that are in the body; a null one is to be cleared."""
        return {member: getattr(self, member) for member in SCOPE_IDS if member in self.model_fields_set}


class PricingOverride(ResponseModel):
    id: str
    name: str
    scope_kind: ScopeKind
    virtual_key_id: str | None
    provider_id: str | None
    provider_key_id: str | None
    match_type: MatchType
    pattern: str
    request_types: tuple[PricedRequestType, ...]
    pricing_patch: str = Field(description="`patch` as JSON text.", json_schema_extra={"contentMediaType": "application/json"})
    patch: PricingPatch
    config_hash: str | None
    created_at: Timestamp
    updated_at: Timestamp


class PricingOverrideEnvelope(ResponseModel):
    pricing_override: PricingOverride


class PricingOverrideResponse(PricingOverrideEnvelope):
    message: str


class ListPricingOverridesResponse(Page):
    pricing_overrides: tuple[PricingOverride, ...]
