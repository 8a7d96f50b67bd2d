"""release: the request never ran; everything it took is given back."""

from typing import Final

from service import metrics
from service.errors import Conflict
from service.models.enforcement import ReleaseRequest
from service.quota.enforcer import Enforcer
from service.reservation import IdConflict, Release

SETTLED: Final = "this reservation was settled: what is charged is not given back"


async def release(enforcer: Enforcer, request: ReleaseRequest) -> bool:
    """Whether there was something to give back. Raises Conflict after a settle."""
    outcome = await enforcer.reservations.release(Release(request_id=request.reservation_id))
    if isinstance(outcome, IdConflict):
        raise Conflict(SETTLED, param="reservation_id")
    if outcome.released:
        metrics.settlements("duplicate" if outcome.replayed else "cancel").inc()
    return outcome.released
