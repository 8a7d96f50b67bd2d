"""Provider governance: update and delete."""

from service.entities import Kind, Provider
from service.errors import NotFound
from service.governance import providers as rules
from service.models.provider_governance import UpdateProviderGovernanceRequest
from service.store.change import Change, transact
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Snapshot


def require_known(name: str, known: frozenset[str]) -> None:
    if name not in known:
        raise NotFound(f"there is no provider {name}: use a configured one, or add it with QUOTAD_PROVIDERS")


async def update(store: Store, name: str, request: UpdateProviderGovernanceRequest) -> None:
    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.provider(name)
        change = Change(snapshot.now_ms)
        if stored is None:
            edited = rules.update(rules.unconfigured(name, now_ms=snapshot.now_ms), request, now_ms=snapshot.now_ms)
            change.create(Kind.PROVIDER, edited.entity, edited.counters)
        else:
            edited = rules.update(stored.entity, request, now_ms=snapshot.now_ms)
            change.replace(Kind.PROVIDER, stored, edited.entity, edited.counters)
        return change

    await transact(store, [Ref(Kind.PROVIDER, name)], build)


async def delete(store: Store, name: str, known: frozenset[str]) -> None:
    """The provider itself stays usable, without limits. One that has left the settings may still have some to be removed."""

    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.provider(name)
        change = Change(snapshot.now_ms)
        if stored is None:
            require_known(name, known)
        else:
            edited = rules.cleared(stored.entity, now_ms=snapshot.now_ms)
            change.replace(Kind.PROVIDER, stored, edited.entity, edited.counters)
        return change

    await transact(store, [Ref(Kind.PROVIDER, name)], build)


def has_limits(provider: Provider) -> bool:
    return bool(provider.budgets) or provider.rate_limit is not None
