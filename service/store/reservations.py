"""Runs the calls on reservations: merges those of one event-loop tick, finds the plan that a reservation was made by."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Final

from service.errors import StoreUnavailable
from service.reservation import (
    Explain,
    ExplainOutcome,
    IdConflict,
    Release,
    ReleaseOutcome,
    Renew,
    Renewed,
    RenewOutcome,
    Reserve,
    ReserveOutcome,
    Settle,
    SettleOutcome,
    Stale,
    Unknown,
)
from service.store import keys, reservation_answers
from service.store.batch import Batch
from service.store.connection import Store
from service.store.failures import store_errors
from service.store.packed_plan import OwnersOfPlan, PackedPlan, owners_of, plan_text, unchecked
from service.store.plans import ATTEMPTS, PackedPlans
from service.store.reservation_calls import Answer, Call, granule_ms, run_calls
from service.store.sweep import Due, Outcome, Swept, sweep

_ASK_AGAIN: Final = ("elsewhere", "stale")
"""Answers that say that the plan has to be another one, or brought up to date."""
_EXPIRE_AGAIN: Final = (*_ASK_AGAIN, "charges")

CHANGES_TOO_FAST: Final = "the configuration changes faster than it can be read; try again"


class Reservations:
    """Every call may be repeated with the same request_id. StoreUnavailable: whether it was applied is not known."""

    def __init__(
        self,
        store: Store,
        *,
        retention_ms: int,
        charge_expired: bool = False,
        largest_cache: int = 100_000,
        cached_plans: int = 10_000,
        largest_batch: int = 64,
    ) -> None:
        """`charge_expired`: a lease that runs out charges what it held, else it gives it back."""
        self.store = store
        self._retention_ms = retention_ms
        self._charges_expired = charge_expired
        self._largest_cache = largest_cache
        self._plans = PackedPlans(store, retention_ms=retention_ms, largest_cache=cached_plans)
        self._made: OrderedDict[str, PackedPlan] = OrderedDict()
        self._batches: dict[str, Batch[Call, Answer]] = {
            script: Batch(partial(self._run, script), largest=largest_batch)
            for script in ("reserve", "settle", "release", "renew", "expire", "explain", "withdraw")
        }

    async def reserve(self, call: Reserve) -> ReserveOutcome:
        packed = self._plans.pack(call.plan)
        saves_plan = not self._plans.is_saved(packed, call.lease_ms)
        # Who was refused lately will be again, nearly always: the text would go there for nothing.
        text = plan_text(packed.plan) if saves_plan and not self._plans.was_refused(packed) else b""
        losses_before = self.store.scripts.possible_losses
        numbers = (call.tokens, call.cost_nanousd, call.lease_ms, granule_ms(call.lease_ms), self._charges_expired)
        texts = (call.detail, call.fingerprint.hex(), call.basis, "")
        made = Call.on(call.request_id, packed, numbers, *texts, saves_plan=saves_plan, plan_text=text)
        answer = await self._ask("reserve", made)
        if answer.word == "unsaved":
            answer = await self._ask("reserve", made._replace(plan_text=plan_text(packed.plan)))
        match answer.word:
            case "granted":
                if saves_plan or self.store.scripts.possible_losses != losses_before:
                    await self._see_saved(packed, call.lease_ms, by_script=saves_plan)
                self._remember(call.request_id, packed)
                return reservation_answers.granted(answer)
            case "replayed":
                first = await self._plan(answer.rest[0])
                self._remember(call.request_id, first)
                return reservation_answers.replayed(answer, first.plan)
            case "conflict":
                return IdConflict()
            case "stale":
                return Stale()
        self._plans.note_refused(packed)
        return reservation_answers.refused_or_blocked(answer, call.plan, call.tokens, call.cost_nanousd)

    async def settle(self, call: Settle) -> SettleOutcome:
        answer = None
        if call.plan is not None and call.request_id not in self._made:
            # Most often the plan is the one it was reserved by, if it was at all.
            answer = await self._settle_by(call, self._plans.pack(call.plan))
        if answer is None:
            answer = await self._on_record("settle", call.request_id, partial(_settle_call, call))
        if answer.word == "unknown" and call.plan is not None:
            answer = await self._settle_by(call, self._plans.pack(call.plan)) or answer
        match answer.word:
            case "unknown":
                return Unknown()
            case "stale" | "outdated":
                return Stale()
        plan = await self._plan(answer.rest[0])
        return reservation_answers.settled(answer, plan.plan)

    async def release(self, call: Release) -> ReleaseOutcome:
        answer = await self._on_record("release", call.request_id, partial(Call.on, call.request_id))
        return reservation_answers.released(answer)

    async def renew(self, call: Renew) -> RenewOutcome:
        lease = (call.lease_ms, granule_ms(call.lease_ms))
        make = partial(Call.on, call.request_id, numbers=lease)
        answer = await self._on_record("renew", call.request_id, make, lease_ms=call.lease_ms)
        if answer.word == "unknown":
            return Unknown()
        # Again where Redis may have lost it meanwhile.
        await self._plans.save(await self._plan(answer.rest[1]), call.lease_ms)
        return Renewed(answer.rest[0])

    async def explain(self, call: Explain) -> ExplainOutcome:
        packed = self._plans.pack(call.plan)
        answer = await self._ask("explain", Call(packed, (call.tokens, call.cost_nanousd), (call.basis,)))
        return Stale() if answer.word == "stale" else reservation_answers.explained(answer, call)

    async def is_known(self, request_id: str) -> bool:
        """Whether somebody reserved this id, and it is remembered."""
        with store_errors("looking for a reservation"):
            return bool(await self.store.redis.exists(keys.reservation(request_id)))

    def sweep(self, size_of_part: Callable[[], int]) -> AsyncIterator[Swept]:
        """As store/sweep.py says. Safe to run in every worker at once."""
        return sweep(self._due, self._expire, size_of_part)

    async def _expire(self, part: Sequence[Due]) -> Sequence[Outcome]:
        """Of each whether this call took it off the index; None: not yet; how to ask again; or why it cannot be done."""
        try:
            answers = await self._run("expire", [_expire_call(one) for one in part])
        except Exception as error:
            return [error] * len(part)
        outcomes: list[Outcome] = []
        again: dict[int, Answer] = {}
        for place, answer in enumerate(answers):
            if isinstance(answer, StoreUnavailable):
                outcomes.append(answer)
            else:
                outcomes.append(answer.word == "expired")
                if answer.word in _EXPIRE_AGAIN:
                    again[place] = answer
        asked_anew = (self._how_to_ask_again(part[place], answer) for place, answer in again.items())
        for place, outcome in zip(again, await asyncio.gather(*asked_anew, return_exceptions=True), strict=True):
            outcomes[place] = outcome
        return outcomes

    async def _how_to_ask_again(self, one: Due, answer: Answer) -> Due:
        """After an answer of _EXPIRE_AGAIN."""
        by: OwnersOfPlan | PackedPlan | None
        if one.by is None:
            by = await self._plans.load_owners(answer.rest[0].decode())
        elif isinstance(one.by, OwnersOfPlan):
            by = await self._plans.load(one.by.digest)
        else:
            by = await self._other_plan(one.by, answer, one.attempts_left)
        return one._replace(by=by, attempts_left=one.attempts_left - 1)

    async def count_open(self) -> int:
        """Reservations whose lease runs, of all workers."""
        now_ms = await self.store.read_now_ms()
        with store_errors("counting reservations"):
            async with self.store.redis.pipeline(transaction=False) as pipe:
                for index in keys.all_open_indexes():
                    pipe.zcount(index, f"({now_ms}", "+inf")
                return sum(await pipe.execute())

    async def _due(self, passed_over: Mapping[str, int], most: int) -> list[Due]:
        """Of each index the first `most` whose leases have run out, after as many as are passed over there."""
        now_ms, indexes = await self.store.read_now_ms(), keys.all_open_indexes()
        with store_errors("looking for expired reservations"):
            async with self.store.redis.pipeline(transaction=False) as pipe:
                for index in indexes:
                    first = passed_over.get(index, 0)
                    pipe.zrangebyscore(index, "-inf", now_ms, start=first, num=most, withscores=True)
                found = zip(indexes, await pipe.execute(), strict=True)
        listed = ((index, member.decode(), now_ms - int(ended_ms)) for index, members in found for member, ended_ms in members)
        return [Due(index, request_id, late_ms, self._owners_of(request_id)) for index, request_id, late_ms in listed]

    def _owners_of(self, request_id: str) -> OwnersOfPlan | None:
        packed = self._made.get(request_id)
        return owners_of(packed.digest, packed.usage_keys) if packed is not None else None

    async def _run(self, script: str, calls: Sequence[Call]) -> Sequence[Answer | StoreUnavailable]:
        return await run_calls(self.store, script, calls, retention_ms=self._retention_ms)

    def _ask(self, script: str, call: Call) -> "asyncio.Future[Answer]":
        return self._batches[script].call(call)

    async def _on_record(
        self, script: str, request_id: str, make: Callable[[PackedPlan | None], Call], *, lease_ms: int | None = None
    ) -> Answer:
        """A call on what was reserved under this id, by whatever plan and whichever worker that was.

        `lease_ms`: it may make the lease so long. The plan must be found as long as the reservation may be asked about, also
        where nobody comes to save it afterwards.
        """
        packed = self._made.get(request_id)
        for attempts_left in reversed(range(ATTEMPTS)):
            if packed is not None and lease_ms is not None:
                await self._plans.save(packed, lease_ms)
            answer = await self._ask(script, make(packed))
            if answer.word not in _ASK_AGAIN:
                return answer
            packed = await self._other_plan(packed, answer, attempts_left)
            self._remember(request_id, packed)
        raise StoreUnavailable(CHANGES_TOO_FAST)

    async def _other_plan(self, packed: PackedPlan | None, answer: Answer, attempts_left: int) -> PackedPlan:
        """What to go by after an answer of _ASK_AGAIN."""
        if packed is None or answer.word == "elsewhere":
            return await self._plan(answer.rest[0])
        fresh = await self._plans.refresh(packed)
        return fresh if attempts_left > 1 else unchecked(fresh)

    async def _settle_by(self, call: Settle, packed: PackedPlan) -> Answer | None:
        """Also when nobody reserved this id. None: it was reserved by another plan, which is known from now on."""
        saves_plan = not self._plans.is_saved(packed, 0)
        text = plan_text(packed.plan) if saves_plan else b""
        made = _settle_call(call, packed, unreserved=True)._replace(saves_plan=saves_plan, plan_text=text)
        losses_before = self.store.scripts.possible_losses
        answer = await self._ask("settle", made)
        if answer.word == "elsewhere":
            self._remember(call.request_id, await self._plan(answer.rest[0]))
            return None
        if answer.word == "settled" and (saves_plan or self.store.scripts.possible_losses != losses_before):
            await self._see_saved(packed, 0, by_script=saves_plan)
        return answer

    async def _see_saved(self, packed: PackedPlan, lease_ms: int, *, by_script: bool) -> None:
        """When the script has written the plan; or when a call that left it out found that Redis had been started anew."""
        if by_script:
            self._plans.note_saved(packed, lease_ms)
        else:
            await self._plans.save(packed, lease_ms)

    async def _plan(self, digest: bytes) -> PackedPlan:
        return await self._plans.load(digest.decode())

    def _remember(self, request_id: str, packed: PackedPlan) -> None:
        self._made[request_id] = packed
        if len(self._made) > self._largest_cache:
            self._made.popitem(last=False)


def _expire_call(one: Due) -> Call:
    call = Call.on(one.request_id, one.by)
    return call._replace(record=None) if isinstance(one.by, OwnersOfPlan) else call


def _settle_call(call: Settle, packed: PackedPlan | None, *, unreserved: bool = False) -> Call:
    """Without the plan of the reservation nothing is charged, so there is nothing to compute."""
    cost_nanousd, detail, basis = call.charge_by(packed.plan) if packed is not None else (0, b"", "")
    return Call.on(call.request_id, packed, (call.tokens, cost_nanousd, call.success, unreserved), detail, basis)
