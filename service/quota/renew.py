"""renew: the request still runs; what it holds is held for longer."""

from typing import Final

from service.errors import NotFound
from service.models.enforcement import RenewRequest
from service.quota.enforcer import Enforcer
from service.reservation import Renew, Unknown

GONE: Final = "there is no such reservation (any more); usage can be settled all the same"


async def renew(enforcer: Enforcer, request: RenewRequest) -> int:
    """When it runs out now, in ms. Raises NotFound for a reservation that holds nothing any more."""
    outcome = await enforcer.reservations.renew(Renew(request_id=request.reservation_id, lease_ms=request.ttl_ms))
    if isinstance(outcome, Unknown):
        raise NotFound(GONE, param="reservation_id")
    return outcome.expires_at_ms
