"""Customers: create, update, delete."""

from uuid import uuid4

from service.entities import Kind
from service.errors import NotFound
from service.governance import customers as rules
from service.models.customers import CreateCustomerRequest, UpdateCustomerRequest
from service.store.change import Change, transact
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Snapshot


def not_found(customer_id: str) -> NotFound:
    return NotFound(f"there is no customer {customer_id}")


async def create(store: Store, request: CreateCustomerRequest) -> str:
    """The id of the new customer."""
    customer_id = str(uuid4())

    def build(snapshot: Snapshot) -> Change:
        edited = rules.create(request, now_ms=snapshot.now_ms, entity_id=customer_id)
        change = Change(snapshot.now_ms)
        change.create(Kind.CUSTOMER, edited.entity, edited.counters)
        return change

    await transact(store, [], build)
    return customer_id


async def update(store: Store, customer_id: str, request: UpdateCustomerRequest) -> None:
    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.customer(customer_id)
        if stored is None:
            raise not_found(customer_id)
        edited = rules.update(stored.entity, request, now_ms=snapshot.now_ms)
        change = Change(snapshot.now_ms)
        change.replace(Kind.CUSTOMER, stored, edited.entity, edited.counters)
        return change

    await transact(store, [Ref(Kind.CUSTOMER, customer_id)], build)


async def delete(store: Store, customer_id: str) -> None:
    """Its teams and keys stay, without a customer."""

    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.customer(customer_id)
        if stored is None:
            raise not_found(customer_id)
        change = Change(snapshot.now_ms)
        change.delete(Kind.CUSTOMER, stored)
        change.forget_children(Ref(Kind.CUSTOMER, customer_id), Kind.TEAM, Kind.VIRTUAL_KEY)
        return change

    await transact(store, [Ref(Kind.CUSTOMER, customer_id)], build)
