"""Teams on the wire: requests and responses."""

from pydantic import Field

from service.models.limit_owners import CreateLimitsRequest, EmbeddedTeam, UpdateLimitsRequest
from service.models.responses import Page, ResponseModel, omitted
from service.models.text import Name, Reference
from service.models.virtual_key_responses import VirtualKey


class CreateTeamRequest(CreateLimitsRequest):
    name: Name
    customer_id: Reference | None = Field(default=None, description="The customer the team belongs to. The empty string: none.")


class UpdateTeamRequest(UpdateLimitsRequest):
    name: Name | None = None
    customer_id: Reference | None = Field(default=None, description="The customer to move to. The empty string: none.")


class Team(EmbeddedTeam):
    virtual_keys: tuple[VirtualKey, ...] | None = omitted("Its keys, where one team is shown.")
    virtual_key_count: int = omitted("How many keys it has.", ge=0)


class TeamEnvelope(ResponseModel):
    team: Team


class TeamResponse(TeamEnvelope):
    message: str


class ListTeamsResponse(Page):
    teams: tuple[Team, ...]
