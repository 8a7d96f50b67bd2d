"""Customers on the wire: requests and responses."""

from pydantic import Field

from service.models.limit_owners import CreateLimitsRequest, EmbeddedCustomer, UpdateLimitsRequest
from service.models.responses import Page, ResponseModel, omitted
from service.models.teams import Team
from service.models.text import Name
from service.models.virtual_key_responses import VirtualKey


class CreateCustomerRequest(CreateLimitsRequest):
    name: Name


class UpdateCustomerRequest(UpdateLimitsRequest):
    name: Name | None = None


class Customer(EmbeddedCustomer):
    teams: tuple[Team, ...]
    virtual_keys: tuple[VirtualKey, ...] = Field(description="Keys that belong to the customer directly, not through a team.")
    virtual_key_count: int = omitted("How many keys belong to it directly.", ge=0)


class CustomerEnvelope(ResponseModel):
    customer: Customer


class CustomerResponse(CustomerEnvelope):
    message: str


class ListCustomersResponse(Page):
    customers: tuple[Customer, ...]
