"""A state machine for hypothesis: random owners, limits and calls, each step held against the model."""

import asyncio
import copy
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from redis import Redis

from service.counters import windows_of_counters
from service.entities import Budget, CounterEdit, CounterEdits, LimitOwner, RateLimit
from service.reservation import Explained, Granted, LimitKind, Mode, Plan, Refused, Replayed, Stale
from service.settings import Settings
from service.store.connection import open_store
from service.windows import CarryOver, Window, initial_reset_ms, next_reset_ms
from tests.enforcement.configurations import TERMS, amounts, jumps, leases, limit_terms
from tests.enforcement.model import CounterName, Model, name_of
from tests.enforcement.outcomes import versions_of, word_of
from tests.enforcement.world import Limits, World, customer, model_config, provider, provider_config, team, virtual_key
from tests.redis_cluster import cluster_client
from tests.store.owners import existing, ref
from tests.store.plans import DAY, NOW
from tests.store.quota_desk import Desk
from tests.store.stored_counters import UNDECODED, integers, stored_counters

T = TypeVar("T")

PLANS = (("one", "openai"), ("one", "anthropic"), ("two", "openai"))
"""Key and provider. Both keys share customer, provider and model limits; the first also has a team."""


class Machine(RuleBasedStateMachine):
    """Two workers that share one Redis; what one of them made the other has to look up."""

    redis_url: ClassVar[str]
    clustered: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.opened = ExitStack()
        connect = cluster_client if self.clustered else partial(Redis.from_url, decode_responses=True, encoding_errors=UNDECODED)
        self.redis: Redis = self.opened.enter_context(connect(self.redis_url))
        self.redis.flushall()
        self.store = open_store(Settings(redis_cluster=self.clustered), self.redis_url, timeout_ms=20_000, now_ms=str(NOW))
        self.world = World(self.store, NOW)
        self.model = Model()
        self.now_ms = NOW
        self.made = 0
        self.limits: dict[str, Limits] = {}
        self.owners: dict[str, LimitOwner] = {}
        self.old_plans: list[tuple[int, Plan]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
        self.opened.close()

    # --- configuration

    @initialize(
        mode=st.sampled_from(Mode),
        charging=st.sampled_from([(False, False), (True, True), (False, True)]),
        aligned=st.booleans(),
        expires=st.none() | st.integers(0, DAY),
        terms=TERMS,
    )
    def configure(
        self, mode: Mode, charging: tuple[bool, bool], aligned: bool, expires: int | None, terms: dict[str, Any]
    ) -> None:
        self.mode = mode
        self.desks = [Desk(self.store, charge_expired=charges, largest_cache=5) for charges in charging]
        self.charging = charging
        part = {name: self._parts(name, *terms[name]) for name in ("customer", "team", "provider", "model", "two")}
        for name in ("config 1", "config 2", "one", "own"):
            part[name] = self._parts("one", *terms[name])
        configs = (provider_config(1, **part["config 1"]), provider_config(2, "anthropic", **part["config 2"]))
        own = model_config("own", "gpt-4o", scope="virtual_key", scope_id="one", **part["own"])
        expires_at_ms = None if expires is None else NOW + expires
        self.owners = {
            "customer": customer("customer", calendar_aligned=aligned, **part["customer"]),
            "team": team("team", customer_id="customer", **part["team"]),
            "provider": provider("openai", **part["provider"]),
            "model": model_config("model", **part["model"]),
            "one": virtual_key(
                "one",
                team_id="team",
                calendar_aligned=aligned,
                provider_configs=configs,
                model_configs=(own,),
                **part["one"],
            ),
            "two": virtual_key(
                "two",
                customer_id="customer",
                expires_at_ms=expires_at_ms,
                provider_configs=(provider_config(3),),
                **part["two"],
            ),
        }
        self.run(self.world.create(*self.owners.values()))
        self._configured()

    def _parts(self, owner: str, budgets: list[tuple[int, str]], rate: tuple[Any, ...] | None) -> dict[str, Any]:
        limits = self.limits.setdefault(owner, Limits())
        return {
            "budgets": tuple(limits.budget(limit, window) for limit, window in budgets),
            "rate_limit": limits.rate(*rate) if rate is not None else None,
        }

    def _configured(self) -> None:
        counters: dict[CounterName, Window] = {}
        for owner in self.owners.values():
            for (slot, _), window in windows_of_counters(owner).items():
                counters[ref(owner).kind, owner.id, slot] = window
        self.model.configure(counters, self.now_ms)
        self.plans = [self.run(self.world.plan(key, provider=name, mode=self.mode)) for key, name in PLANS]

    @rule(name=st.sampled_from(["customer", "team", "provider", "model", "one", "two"]), terms=limit_terms, keep=st.booleans())
    def change_limits(self, name: str, terms: tuple[list[tuple[int, str]], tuple[Any, ...] | None], keep: bool) -> None:
        """`keep`: what is there gets other maxima and windows, else it is replaced by new limits."""
        # What ran out and was not swept yet would be charged by the windows to come.
        self._sweep(0)
        owner = self.owners[name]
        budgets, rate = owner.budgets, owner.rate_limit
        if keep:
            budgets = tuple(
                replace(budget, max_limit_nanousd=limit, reset_duration=window)
                for budget, (limit, window) in zip(budgets, terms[0], strict=False)
            )
            if rate is not None and terms[1] is not None:
                token_max, request_max, token_window, request_window = terms[1]
                rate = replace(
                    rate,
                    token_max_limit=token_max,
                    request_max_limit=request_max,
                    token_reset_duration=token_window,
                    request_reset_duration=request_window,
                )
        else:
            new = self._parts(name, *terms)
            budgets, rate = new["budgets"], new["rate_limit"]
        self._change(owner, name, budgets, rate)

    def _change(self, owner: LimitOwner, name: str, budgets: tuple[Budget, ...], rate: RateLimit | None) -> None:
        changed = replace(owner, budgets=budgets, rate_limit=rate)
        old, new = windows_of_counters(owner), windows_of_counters(changed)
        writes: dict[int, CounterEdit] = {}
        for (slot, limit_id), window in new.items():
            was = old.get((slot, limit_id))
            if was is None:
                writes[slot] = CounterEdit(usage=0, last_reset_ms=initial_reset_ms(window, self.now_ms))
            elif was != window:
                writes[slot] = CarryOver(usage=None, last_reset_ms=None, was=was, into=window)
        edits = CounterEdits(writes, {slot for slot, _ in old.keys() - new.keys()})
        self.old_plans = [*self.old_plans[-3:], *enumerate(self.plans)]
        self.world.store = replace(self.store, now_ms=str(self.now_ms))
        self.run(self.world.change(owner, edits, budgets=budgets, rate_limit=rate))
        self.owners[name] = self.run(existing(self.store, owner)).entity
        self._configured()

    # --- calls

    def known(self, data: st.DataObject) -> str:
        """Mostly one that is open, else any that there was, or none."""
        reservations = self.model.reservations
        running = [request_id for request_id, one in reservations.items() if one.state == "open"]
        return str(data.draw(st.sampled_from(running * 3 + list(reservations) + ["never"])))

    def new(self) -> str:
        self.made += 1
        return f"request {self.made}"

    @rule(
        which=st.integers(0, 2),
        data=st.data(),
        again=st.sampled_from([False, False, False, True]),
        body=st.sampled_from("xxxxy"),
        tokens=amounts,
        cost=amounts,
        lease_ms=leases,
        worker=st.integers(0, 1),
    )
    def reserve(
        self, which: int, data: st.DataObject, again: bool, body: str, tokens: int, cost: int, lease_ms: int, worker: int
    ) -> None:
        request_id = self.known(data) if again else self.new()
        self._reserve(self.plans[which], [(request_id, body, tokens, cost)], lease_ms, worker)

    @rule(
        which=st.integers(0, 2),
        calls=st.lists(st.tuples(amounts, amounts, st.booleans()), min_size=2, max_size=6),
        lease_ms=leases,
        worker=st.integers(0, 1),
    )
    def reserve_in_one_batch(self, which: int, calls: list[tuple[int, int, bool]], lease_ms: int, worker: int) -> None:
        """Some of them twice. On a cluster what one call takes in one slot, before another refuses it, is lost to the next."""
        if self.clustered:
            calls = calls[:1]
        named = []
        for tokens, cost, twice in calls:
            named += [(self.new(), "x", tokens, cost)] * (1 + twice)
        self._reserve(self.plans[which], named, lease_ms, worker)

    @precondition(lambda self: self.old_plans)
    @rule(data=st.data(), again=st.booleans(), tokens=amounts, worker=st.integers(0, 1))
    def reserve_by_an_old_plan(self, data: st.DataObject, again: bool, tokens: int, worker: int) -> None:
        request_id = self.known(data) if again else self.new()
        which, old = data.draw(st.sampled_from(self.old_plans))
        if versions_of(old) == versions_of(self.plans[which]):
            return
        expected = ("replayed", "conflict") if request_id in self.model.reservations else ("stale",)
        assert self.run(self.desks[worker].call(old, "reserve", request_id, tokens)).split()[0] in expected

    @precondition(lambda self: self.old_plans and not self.clustered)
    @rule(which=st.integers(0, 2), data=st.data(), tokens=amounts, cost=amounts, lease_ms=leases, worker=st.integers(0, 1))
    def reserve_behind_an_old_plan(
        self, which: int, data: st.DataObject, tokens: int, cost: int, lease_ms: int, worker: int
    ) -> None:
        """In one batch; on a cluster what an old plan takes in one slot, before it learns that it is old, is lost to the next."""
        of, old = data.draw(st.sampled_from(self.old_plans))
        if versions_of(old) != versions_of(self.plans[of]):
            self._reserve(self.plans[which], [(self.new(), "x", tokens, cost)], lease_ms, worker, behind=old)

    def _reserve(
        self, plan: Plan, calls: list[tuple[str, str, int, int]], lease_ms: int, worker: int, *, behind: Plan | None = None
    ) -> None:
        """`behind`: a call by this plan, which is old, comes before them in the same batch."""
        desk = self.desks[worker]

        async def ask() -> list[Any]:
            verbs = {"x": "reserve", "y": "other body"}
            before = [desk.outcome(behind, "reserve", self.new(), 5, 5)] if behind is not None else []
            work = (
                desk.outcome(plan, verbs[body], request_id, tokens, cost, lease_ms=lease_ms)
                for request_id, body, tokens, cost in calls
            )
            return await asyncio.gather(*before, *work)

        outcomes = self.run(ask())
        if behind is not None:
            assert isinstance(outcomes.pop(0), Stale)
        for (request_id, body, tokens, cost), outcome in zip(calls, outcomes, strict=True):
            expected, violations = self.model.reserve(
                plan,
                request_id,
                body,
                tokens,
                cost,
                lease_ms,
                charges_at_expiry=self.charging[worker],
                now_ms=self.now_ms,
            )
            assert word_of(outcome) == expected
            match outcome:
                case Granted():
                    one = self.model.reservations[request_id]
                    assert (outcome.reserved_tokens, outcome.reserved_nanousd) == one.reserved
                    assert outcome.expires_at_ms == one.expires_at_ms
                    self._check_states(plan, outcome)
                case Replayed(first=first):
                    one = self.model.reservations[request_id]
                    assert (first.reserved_tokens, first.reserved_nanousd) == one.reserved or one.state == "settled"
                case Refused():
                    assert outcome.violations == violations
                    self._check_retry(plan, outcome, tokens, cost)

    def _check_states(self, plan: Plan, outcome: Granted | Refused | Explained) -> None:
        for limit, state in zip(plan.limits, outcome.states, strict=True):
            name = name_of(plan, limit)
            usage, last_reset_ms = self.model.read(name, self.now_ms)
            assert (state.usage, state.last_reset_ms) == (usage, last_reset_ms), limit
            if limit.kind is not LimitKind.REQUESTS:
                assert state.held == self.model.held(name), limit

    def _check_retry(self, plan: Plan, outcome: Refused, tokens: int, cost: int) -> None:
        """Whoever waits that long is admitted if nobody else takes it, and not a millisecond before."""
        if outcome.retry_at_ms is None:
            later = self.now_ms + 3 * 366 * DAY
            assert self._decision_at(later, plan, tokens, cost) != "granted"
            return
        assert self._decision_at(outcome.retry_at_ms, plan, tokens, cost) == "granted"
        # In the millisecond in which a window begins it looks like one that nobody began yet: told with caution.
        if not any(state.last_reset_ms == self.now_ms and state.held for state in outcome.states):
            assert self._decision_at(outcome.retry_at_ms - 1, plan, tokens, cost) != "granted"

    def _decision_at(self, at_ms: int, plan: Plan, tokens: int, cost: int) -> str:
        future = copy.deepcopy(self.model)
        future.advance(at_ms)
        return future.decide(plan, tokens, cost, at_ms)[0]

    @rule(
        which=st.integers(0, 2),
        data=st.data(),
        tokens=amounts,
        cost=amounts,
        success=st.booleans(),
        unreserved=st.booleans(),
        worker=st.integers(0, 1),
    )
    def settle(
        self, which: int, data: st.DataObject, tokens: int, cost: int, success: bool, unreserved: bool, worker: int
    ) -> None:
        request_id = self.known(data)
        if request_id == "never" and unreserved:
            request_id = self.new()
        plan = self.plans[which]
        verb = f"settle{' unreserved' if unreserved else ''}{'' if success else ' failed'}"
        answer = self.run(self.desks[worker].call(plan, verb, request_id, tokens, cost))
        word, overrun = self.model.settle(
            request_id, tokens, cost, success=success, plan=plan if unreserved else None, now_ms=self.now_ms
        )
        if word == "unknown":
            assert answer == "unknown"
            return
        amount = "{}/{}".format(*self.model.reservations[request_id].settled)
        over = " over by {}/{}".format(*overrun) if any(overrun) else ""
        assert answer == f"{word} {amount}{over}"

    @rule(data=st.data(), worker=st.integers(0, 1))
    def release(self, data: st.DataObject, worker: int) -> None:
        request_id = self.known(data)
        answer = self.run(self.desks[worker].call(self.plans[0], "release", request_id))
        assert answer == self.model.release(request_id, self.now_ms)

    @rule(data=st.data(), lease_ms=leases, worker=st.integers(0, 1))
    def renew(self, data: st.DataObject, lease_ms: int, worker: int) -> None:
        request_id = self.known(data)
        answer = self.run(self.desks[worker].call(self.plans[0], "renew", request_id, lease_ms))
        until_ms = self.model.renew(request_id, lease_ms, self.now_ms)
        assert answer == ("unknown" if until_ms is None else f"renewed until {until_ms - NOW}")

    @rule(worker=st.integers(0, 1))
    def sweep(self, worker: int) -> None:
        self._sweep(worker)
        open_ones = sum(one.state == "open" and not one.expired for one in self.model.reservations.values())
        assert self.run(self.desks[worker].reservations.count_open()) == open_ones

    def _sweep(self, worker: int) -> None:
        self.run(self.desks[worker].call(self.plans[0], "sweep"))

    # --- time

    @rule(passes_ms=jumps)
    def time_passes(self, passes_ms: int) -> None:
        self._go_to(self.now_ms + passes_ms)

    @rule(off_ms=st.integers(-1, 1), data=st.data())
    def time_comes_near_an_edge(self, off_ms: int, data: st.DataObject) -> None:
        """The end of a lease or of a window, to the millisecond."""
        edges = {one.expires_at_ms for one in self.model.reservations.values() if one.state == "open"}
        for name, counter in self.model.counters.items():
            edges.add(next_reset_ms(counter.window, self.model.read(name, self.now_ms)[1]))
        edges = {edge + off_ms for edge in edges if edge + off_ms >= self.now_ms}
        if edges:
            self._go_to(data.draw(st.sampled_from(sorted(edges))))

    def _go_to(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.model.advance(now_ms)
        for desk in self.desks:
            desk.at(now_ms)

    # --- always

    @invariant()
    def every_limit_reads_as_in_the_model(self) -> None:
        if not self.owners:
            return

        async def explain_all() -> list[Any]:
            return await asyncio.gather(*(self.desks[0].outcome(plan, "explain", "", 5, 5) for plan in self.plans))

        for plan, explained in zip(self.plans, self.run(explain_all()), strict=True):
            self._check_states(plan, explained)
            assert word_of(explained.outcome) == self.model.decide(plan, 5, 5, self.now_ms)[0]

    @invariant()
    def holds_add_up(self) -> None:
        """In Redis itself: what is held on a counter is the sum of what its owner's hash says when it runs out."""
        for key in self.redis.scan_iter("q1:*:usage", count=1000):
            fields = {str(name): str(value) for name, value in self.redis.hgetall(key).items()}
            held: dict[int, int] = {}
            for name, value in fields.items():
                if name[0] in "bc":
                    assert int(fields["e"]) <= int(name[1:])
                    for slot, amount in zip(*[iter(integers(value))] * 2, strict=True):
                        held[slot] = held.get(slot, 0) + amount
            for slot, counter in stored_counters(self.redis, key).items():
                assert counter.held == held.get(slot, 0), key
                assert counter.usage >= 0
