"""What the endpoints of one worker share; opened at start, closed at stop."""

from dataclasses import dataclass

from starlette.requests import Request

from service.api.rendering.quota import QuotaView
from service.quota.enforcer import Enforcer
from service.settings import Settings
from service.store.connection import Store
from service.store.quota import QuotaReader


@dataclass(frozen=True, slots=True)
class Services:
    """`store` waits as long as an admin may (redis_admin_timeout_ms); what gateways call has a shorter patience."""

    settings: Settings
    providers: frozenset[str]
    store: Store
    hot_store: Store
    quota_reader: QuotaReader[QuotaView]
    enforcer: Enforcer

    async def close(self) -> None:
        await self.store.close()
        await self.hot_store.close()


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services
