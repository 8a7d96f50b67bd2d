"""GET /metrics: what there is to scrape, of all workers whoever is asked."""

from starlette.requests import Request
from starlette.responses import Response

from service.api.services import services_of
from service.errors import StoreUnavailable
from service.metrics import CONTENT_TYPE, exposition


async def metrics(request: Request) -> Response:
    """Redis away: everything but the number of open reservations, which only Redis knows."""
    try:
        open_reservations = await services_of(request).enforcer.reservations.count_open()
    except StoreUnavailable:
        open_reservations = None
    return Response(exposition(open_reservations), headers={"content-type": CONTENT_TYPE})
