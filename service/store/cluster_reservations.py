"""Reservations on a Redis Cluster: a call is one script call for each slot that its owners live in, all at the same time.

Every part has a record of its own in its slot, so that it may be repeated. The head, in the slot of the request id, says
whose the id is and by which plan; what ends a reservation is decided there first. A part that refuses has the others
withdrawn, again and again where a node does not answer; what a crash leaves half done runs out with its lease.

The version of what limits all keys is in a slot of its own, so no part can ask for it: parts check each provider's and
model's own version instead. Else they would count in windows that an admin has changed since.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from secrets import token_hex
from typing import Any, Final, cast

from service.errors import StoreUnavailable
from service.reservation import (
    Charge,
    Explain,
    ExplainOutcome,
    IdConflict,
    Mode,
    Plan,
    Release,
    ReleaseOutcome,
    Renew,
    Renewed,
    RenewOutcome,
    Replayed,
    Reserve,
    ReserveOutcome,
    Settle,
    SettleOutcome,
    Stale,
    Unknown,
)
from service.store import reservation_answers
from service.store.connection import Store
from service.store.packed_plan import PackedPlan, as_planned, is_checked, unchecked
from service.store.plans import ATTEMPTS, PlanLost
from service.store.reservation_calls import Answer, Call, granule_ms
from service.store.reservations import CHANGES_TOO_FAST, Reservations
from service.store.shards import Merged, Shard, decide, head_of, shards_of, taken_of
from service.store.sweep import Due, Outcome, Swept
from service.store.versions import Versions, read_versions

EXTRA_MS: Final = 60_000
"""How much longer the record of a part lives than the head's."""
PAUSE_S: Final = (0.005, 0.02)
"""How long an attempt waits for another one of the same request."""
_WITHDRAWN_AT_ONCE: Final = 64
_Withdrawal = tuple[Call, float]
"""The float: until then, by time.monotonic, something may be left of the attempt."""


def reservations_class(store: Store) -> type[Reservations]:
    """What runs the calls on this store."""
    return ClusterReservations if store.clustered else Reservations


class ClusterReservations(Reservations):
    """The same calls and outcomes as on one node."""

    def __init__(self, store: Store, **options: Any) -> None:
        super().__init__(store, **options)
        self._unanswered: deque[_Withdrawal] = deque(maxlen=self._largest_cache)

    async def reserve(self, call: Reserve) -> ReserveOutcome:
        for _ in range(ATTEMPTS):
            outcome = await self._try(call)
            if outcome is not None:
                return outcome
            await asyncio.sleep(random.uniform(*PAUSE_S))
        raise StoreUnavailable("an earlier attempt of this request is not finished; try again")

    async def _try(self, call: Reserve) -> ReserveOutcome | None:
        """None: another attempt of the same request is on its way, or left something behind."""
        if self._seems_blocked(call.plan) and not await self.is_known(call.request_id):
            # Whoever cannot be admitted takes nothing, not even for a moment.
            refusal = await self._refusal_in_advance(call)
            if refusal is not None:
                return refusal
        packed = as_planned(await self._as_configured(self._plans.pack(call.plan)))
        attempt = token_hex(4)
        versions, head, parts = await self._take(call, packed, attempt)
        if head.word == "replayed" and head.rest[0].decode() != packed.digest:
            await self._withdraw(call, packed, attempt)
            try:
                first = await self._plan(head.rest[0])
            except PlanLost:
                return None  # it may be about to be saved
            return await self._replay(call, first)
        if all(_has_part(part, packed, head) for part in parts):
            if head.word == "replayed":
                return await self._replayed(call, packed, attempt, head, parts)
            if head.word == "granted" and _is_current(call, versions) and not call.plan.has_expired(head.now_ms):
                await self._save(call, packed, attempt)
                return reservation_answers.granted(self._granted(head, packed, parts))
        await self._withdraw(call, packed, attempt)
        if head.word == "conflict" or (head.word == "granted" and any(part.word == "conflict" for part in parts)):
            return IdConflict()
        if head.word == "replayed" or any(part.word == "replayed" and not _has_part(part, packed, head) for part in parts):
            return None
        if not _is_current(call, versions):
            return Stale()
        if any(part.word == "stale" for part in parts):
            # A provider or model may have changed before the version by which the caller would notice.
            await self._plans.refresh(packed)
            return Stale()
        return self._refusal(call, head.now_ms, packed, parts)

    async def settle(self, call: Settle) -> SettleOutcome:
        packed = self._made.get(call.request_id)
        while packed is None:
            numbers = (call.tokens, 0, call.success, False)
            answer = await self._ask("settle", _head(call.request_id, None, numbers, b"", ""))
            if answer.word == "unknown":
                return Unknown() if call.plan is None else await self._settle_unreserved(call, self._plans.pack(call.plan))
            packed = await self._plan(answer.rest[0])
            if answer.word == "replayed":
                return await self._settle_parts(call.request_id, packed, answer)
        charge = await self._charge(call, packed)
        if charge is None:
            return Stale()
        answer = await self._settle_head(call, packed, charge, unreserved=False)
        if answer.word in ("unknown", "elsewhere"):
            # What this worker remembered is gone.
            self._made.pop(call.request_id, None)
            return await self.settle(call)
        return await self._settle_parts(call.request_id, await self._plan(answer.rest[0]), answer)

    async def release(self, call: Release) -> ReleaseOutcome:
        answer = await self._on_record("release", call.request_id, partial(_head, call.request_id))
        if answer.word == "released":
            await self._on_parts("release", call.request_id, await self._plan(answer.rest[0]))
        return reservation_answers.released(answer)

    async def renew(self, call: Renew) -> RenewOutcome:
        lease = (call.lease_ms, granule_ms(call.lease_ms))
        make = partial(_head, call.request_id, numbers=lease)
        answer = await self._on_record("renew", call.request_id, make, lease_ms=call.lease_ms)
        if answer.word == "unknown":
            return Unknown()
        packed = await self._plan(answer.rest[1])
        parts = await self._on_parts("renew", call.request_id, packed, lease)
        await self._plans.save(packed, call.lease_ms)
        return Renewed(min([answer.rest[0], *(part.rest[0] for _, part in parts if part.word == "renewed")]))

    async def explain(self, call: Explain) -> ExplainOutcome:
        answer = await self._explain(call)
        return Stale() if answer.word == "stale" else reservation_answers.explained(answer, call)

    async def sweep(self, size_of_part: Callable[[], int]) -> AsyncIterator[Swept]:
        all_answer = True
        while self._unanswered and all_answer:
            parts = [self._unanswered.popleft() for _ in range(min(_WITHDRAWN_AT_ONCE, len(self._unanswered)))]
            now_s = time.monotonic()
            all_answer = await self._withdraw_parts([(part, until_s) for part, until_s in parts if until_s > now_s])
            yield Swept(0, 0, 0)
        async for swept in super().sweep(size_of_part):
            yield swept

    async def _expire(self, part: Sequence[Due]) -> Sequence[Outcome]:
        return await asyncio.gather(*(self._expire_one(one.request_id) for one in part), return_exceptions=True)

    async def _expire_one(self, request_id: str) -> bool | None:
        """The parts first: what is off the index is not looked at again."""
        answer = await self._ask("expire", _head(request_id, None))
        if answer.word == "elsewhere":
            packed = await self._plan(answer.rest[0])
            parts = await self._on_parts("expire", request_id, packed)
            if any(part.word == "running" for _, part in parts):
                # By the clock of another node its lease ends a step later.
                return None
            answer = await self._ask("expire", _head(request_id, packed))
        return answer.word == "expired"

    # --- reserve

    def _parts_of(self, call: Reserve, packed: PackedPlan, attempt: str) -> list[Call]:
        numbers = (call.tokens, call.cost_nanousd, call.lease_ms, granule_ms(call.lease_ms), self._charges_expired)
        texts = (call.fingerprint.hex(), "", attempt)
        parts = [_part(shard, call.request_id, numbers, b"", *texts) for shard in shards_of(packed)]
        return [_head(call.request_id, packed, numbers, call.detail, *texts), *parts]

    async def _take(self, call: Reserve, packed: PackedPlan, attempt: str) -> tuple[Versions, Answer, list[Answer]]:
        """Whatever did not answer may have taken its part: then all parts go back."""
        work = [self._ask("reserve", part) for part in self._parts_of(call, packed, attempt)]
        answers = await asyncio.gather(read_versions(self.store), *work, return_exceptions=True)
        failed = next((answer for answer in answers if isinstance(answer, BaseException)), None)
        if failed is not None:
            await self._withdraw(call, packed, attempt)
            raise failed
        versions, head, *parts = cast("list[Any]", answers)
        return versions, head, parts

    async def _save(self, call: Reserve, packed: PackedPlan, attempt: str) -> None:
        """Before anybody is told that the request is admitted: every worker must find the plan to settle by."""
        try:
            await self._plans.save(packed, call.lease_ms)
        except StoreUnavailable:
            await self._withdraw(call, packed, attempt)
            raise
        self._remember(call.request_id, packed)

    async def _withdraw(self, call: Reserve, packed: PackedPlan, attempt: str) -> None:
        """At once where nodes answer, else by one of the sweeps that follow."""
        # Also when its lease has ended: what it held may be charged by then, and its request is counted.
        until_s = time.monotonic() + (call.lease_ms + self._retention_ms) / 1000
        parts = [_head(call.request_id, packed, (), attempt)]
        parts += [_part(shard, call.request_id, (), attempt) for shard in shards_of(packed)]
        await self._withdraw_parts([(part, until_s) for part in parts])

    async def _withdraw_parts(self, parts: Sequence[_Withdrawal]) -> bool:
        """Whether all nodes answered."""
        answers = await asyncio.gather(*(self._ask("withdraw", part) for part, _ in parts), return_exceptions=True)
        failed = [(part, answer) for part, answer in zip(parts, answers, strict=True) if isinstance(answer, BaseException)]
        self._unanswered.extend(part for part, _ in failed)
        for _, error in failed:
            if not isinstance(error, StoreUnavailable):
                raise error
        return not failed

    async def _replay(self, call: Reserve, packed: PackedPlan) -> ReserveOutcome | None:
        """The first answer to a request that was admitted by another plan than that of now."""
        packed, attempt = as_planned(await self._as_configured(packed)), token_hex(4)
        _, head, parts = await self._take(call, packed, attempt)
        if head.word == "replayed" and all(part.word == "replayed" and _has_part(part, packed, head) for part in parts):
            return await self._replayed(call, packed, attempt, head, parts)
        await self._withdraw(call, packed, attempt)
        return IdConflict() if head.word == "conflict" else None

    async def _replayed(self, call: Reserve, packed: PackedPlan, attempt: str, head: Answer, parts: Sequence[Answer]) -> Replayed:
        # The attempt that made it may not have come to that.
        await self._save(call, packed, attempt)
        _, _, now_ms, expires_at_ms, tokens, cost, _, detail, _ = head.rest
        whole = self._granted(Answer(now_ms, "granted", [expires_at_ms, tokens, cost, b""]), packed, parts)
        return Replayed(first=reservation_answers.granted(whole), plan=packed.plan, detail=detail)

    def _granted(self, head: Answer, packed: PackedPlan, parts: Sequence[Answer]) -> Answer:
        """As one node would have answered: the lease that ends first, the smallest holds."""
        merged, numbers = Merged(packed.plan), [head.rest[:3]]
        for shard, part in zip(shards_of(packed), parts, strict=True):
            *first, counters = part.rest[:4] if part.word == "granted" else part.rest[3:7]
            numbers.append(first)
            merged.add_counters(shard, counters)
        return Answer(head.now_ms, "granted", [*(min(column) for column in zip(*numbers, strict=True)), merged.counters])

    def _refusal(self, call: Reserve, now_ms: int, packed: PackedPlan, parts: Sequence[Answer]) -> ReserveOutcome:
        merged = Merged(call.plan)
        for shard, part in zip(shards_of(packed), parts, strict=True):
            if part.word == "refused":
                _, over, counters, holds = part.rest
                merged.add_refusal(shard, over, holds)
                merged.add_counters(shard, counters)
            else:
                _, tokens, cost, counters, *rest = part.rest if part.word == "granted" else part.rest[3:]
                merged.add_counters(shard, counters, taken_of(shard.packed.plan, tokens, cost, rest[-1]))
        answer = merged.refusal(call.plan, now_ms)
        return reservation_answers.refused_or_blocked(answer, call.plan, call.tokens, call.cost_nanousd)

    def _seems_blocked(self, plan: Plan) -> bool:
        """By the clock of this machine, which only says whether to look before taking."""
        now_ms = int(self.store.now_ms) if self.store.now_ms else time.time_ns() // 1_000_000
        return plan.blocked is not None or plan.has_expired(now_ms)

    async def _refusal_in_advance(self, call: Reserve) -> ReserveOutcome | None:
        tokens, cost = call.tokens, call.cost_nanousd
        answer = await self._explain(Explain(plan=call.plan, tokens=tokens, cost_nanousd=cost, basis=call.basis))
        if answer.word == "stale":
            return Stale()
        if answer.word == "granted":
            return None
        rest = answer.rest[:4] if answer.word == "refused" else [answer.rest[2]]
        return reservation_answers.refused_or_blocked(answer._replace(rest=rest), call.plan, tokens, cost)

    async def _explain(self, call: Explain) -> Answer:
        packed = self._plans.pack(call.plan)
        numbers = (call.tokens, call.cost_nanousd)
        shards = shards_of(packed)
        versions, *parts = await asyncio.gather(
            read_versions(self.store), *(self._ask("explain", Call(shard.packed, numbers, ("",))) for shard in shards)
        )
        if not _is_current(call, versions) or any(part.word == "stale" for part in parts):
            return Answer(0, "stale", [])
        merged = Merged(call.plan)
        reserved = [[call.tokens, call.cost_nanousd]] if call.plan.mode is not Mode.POSTPAID else [[0, 0]]
        for shard, part in zip(shards, parts, strict=True):
            _, over, counters, holds, *amounts = part.rest
            merged.add_refusal(shard, over, holds)
            merged.add_counters(shard, counters)
            reserved += [amounts] if amounts else []
        now_ms = max((part.now_ms for part in parts), default=0) or await self.store.read_now_ms()
        word, violated = decide(call.plan, merged.over, now_ms)
        smallest = [min(column) for column in zip(*reserved, strict=True)] if word == "granted" else []
        return Answer(now_ms, word, [violated, merged.over, merged.counters, merged.holds, *smallest])

    # --- settle, and what follows on a reservation

    async def _settle_unreserved(self, call: Settle, packed: PackedPlan) -> SettleOutcome:
        assert call.plan is not None
        if (await self._explain(Explain(plan=call.plan, tokens=call.tokens, cost_nanousd=0))).word == "stale":
            return Stale()
        charge = await self._charge(call, packed)
        if charge is None:
            return Stale()
        await self._plans.save(packed, 0)
        answer = await self._settle_head(call, packed, charge, unreserved=True)
        if answer.word == "elsewhere":
            # Reserved in this moment, by another plan.
            return await self.settle(call._replace(plan=None))
        return await self._settle_parts(call.request_id, packed, answer)

    async def _charge(self, call: Settle, packed: PackedPlan) -> Charge | None:
        """What it costs by the plan of the reservation; None: by prices that are not in force any more."""
        charge = call.charge_by(packed.plan)
        return charge if charge.basis in ("", (await read_versions(self.store)).basis) else None

    async def _settle_head(self, call: Settle, packed: PackedPlan, charge: Charge, *, unreserved: bool) -> Answer:
        """Once this is written the request is settled, whoever finishes it: its parts are charged by what stands here."""
        numbers = (call.tokens, charge.cost_nanousd, call.success, unreserved)
        detail = (b"1" if call.success else b"0") + charge.detail
        return await self._ask("settle", _head(call.request_id, packed, numbers, detail, ""))

    async def _settle_parts(self, request_id: str, packed: PackedPlan, head: Answer) -> SettleOutcome:
        digest, now_ms, tokens, cost, *overrun, _, detail = head.rest
        parts = await self._on_parts("settle", request_id, packed, (tokens, cost, detail[:1] == b"1", True), b"", "")
        merged, overruns = Merged(packed.plan), [overrun]
        for shard, part in parts:
            overruns.append(part.rest[4:6])
            merged.add_counters(shard, part.rest[6])
        largest = [max(column) for column in zip(*overruns, strict=True)]
        rest = [digest, now_ms, tokens, cost, *largest, merged.counters, detail[1:]]
        return reservation_answers.settled(Answer(now_ms, head.word, rest), packed.plan)

    async def _on_parts(
        self, script: str, request_id: str, packed: PackedPlan, numbers: tuple[int, ...] = (), *texts: str | bytes
    ) -> list[tuple[Shard, Answer]]:
        """A call on every part; again with what is configured now where that has changed. Done parts answer as before."""
        packed = await self._as_configured(packed)
        for attempts_left in reversed(range(ATTEMPTS)):
            shards = shards_of(packed)
            answers = await asyncio.gather(*(self._ask(script, _part(shard, request_id, numbers, *texts)) for shard in shards))
            if all(answer.word != "stale" for answer in answers):
                return list(zip(shards, answers, strict=True))
            packed = await self._as_configured(await self._plans.refresh(packed))
            packed = packed if attempts_left > 1 else unchecked(packed)
        raise StoreUnavailable(CHANGES_TOO_FAST)

    async def _as_configured(self, packed: PackedPlan) -> PackedPlan:
        """With the version of every owner that counts anything: read once for each plan, then as long as it is kept."""
        if is_checked(packed):
            return packed
        known = await self._plans.refresh(packed)
        # It may be what somebody has only loaded.
        return known if is_checked(known) else await self._plans.refresh(known)


def _is_current(call: Reserve | Explain, versions: Versions) -> bool:
    return call.plan.global_version in (None, versions.limits) and call.basis in ("", versions.basis)


def _has_part(part: Answer, packed: PackedPlan, head: Answer) -> bool:
    """Whether the part holds what this plan asks of it, now or as long as the head has been there."""
    if part.word != "replayed":
        return part.word == "granted" and (head.word == "granted" or head.rest[1:2] == [b"open"])
    digest, state, _, expires_at_ms = part.rest[:4]
    # Of an earlier life of the id, unless the head was there before, too: what was settled or released, or has run out.
    return digest.decode() == packed.digest and (head.word == "replayed" or (state == b"open" and expires_at_ms > head.now_ms))


def _head(request_id: str, packed: PackedPlan | None, numbers: tuple[int, ...] = (), *texts: str | bytes) -> Call:
    return Call.on(request_id, head_of(packed) if packed is not None else None, numbers, *texts)


def _part(shard: Shard, request_id: str, numbers: tuple[int, ...] = (), *texts: str | bytes) -> Call:
    return Call(shard.packed, numbers, (request_id, *texts), shard.record(request_id), None, EXTRA_MS)
