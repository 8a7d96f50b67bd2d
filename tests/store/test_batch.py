"""Merging calls: which go out together, when, and who gets which answer or error."""

import asyncio
from collections.abc import Sequence

import pytest
from redis.exceptions import ConnectionError, TimeoutError

from service.errors import StoreUnavailable
from service.store.batch import Batch


class Server:
    """Answers squares and remembers what came together. While `busy` it answers nothing; an `error` is raised once."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.error: BaseException | None = None
        self.surplus: list[int] = []

    def busy(self) -> None:
        self.free.clear()

    async def run(self, items: Sequence[int]) -> list[int]:
        self.batches.append([*items])
        await self.free.wait()
        error, self.error = self.error, None
        if error is not None:
            raise error
        return [item * item for item in items] + self.surplus


@pytest.fixture
def server() -> Server:
    return Server()


def calls(batch: Batch[int, int], items: Sequence[int]) -> list["asyncio.Task[int]"]:
    return [asyncio.ensure_future(batch.call(item)) for item in items]


async def ticks(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_calls_of_one_tick_go_out_together(server: Server):
    batch = Batch(server.run)
    assert await asyncio.gather(*calls(batch, [3, 1, 2])) == [9, 1, 4]
    assert server.batches == [[3, 1, 2]]


async def test_a_lone_call_does_not_wait_for_company(server: Server):
    batch = Batch(server.run)
    assert [await batch.call(item) for item in (1, 2)] == [1, 4]
    assert server.batches == [[1], [2]]


async def test_equal_items_of_different_callers_are_all_sent(server: Server):
    assert await asyncio.gather(*calls(Batch(server.run), [2, 2, 2])) == [4, 4, 4]
    assert server.batches == [[2, 2, 2]]


@pytest.mark.parametrize(
    "items, largest, sizes",
    [(1, 3, [1]), (3, 3, [3]), (4, 3, [3, 1]), (7, 3, [3, 3, 1]), (5, 1, [1, 1, 1, 1, 1])],
)
async def test_no_batch_is_larger_than_allowed(server: Server, items: int, largest: int, sizes: list[int]):
    batch = Batch(server.run, largest=largest)
    assert await asyncio.gather(*calls(batch, range(items))) == [item * item for item in range(items)]
    assert [len(sent) for sent in server.batches] == sizes
    assert [item for sent in server.batches for item in sent] == [*range(items)]


@pytest.mark.parametrize("concurrent", [1, 2, 3])
async def test_later_calls_gather_while_enough_are_on_their_way(server: Server, concurrent: int):
    server.busy()
    batch = Batch(server.run, concurrent=concurrent)
    pending = []
    for item in range(5):
        pending += calls(batch, [item])
        await ticks()
    assert server.batches == [[item] for item in range(concurrent)]
    server.free.set()
    assert await asyncio.gather(*pending) == [0, 1, 4, 9, 16]
    assert server.batches == [[item] for item in range(concurrent)] + [[*range(concurrent, 5)]]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ValueError("a bug")])
async def test_every_caller_gets_the_error_and_the_next_call_works(server: Server, error: Exception):
    batch = Batch(server.run)
    server.error = error
    assert await asyncio.gather(*calls(batch, [1, 2]), return_exceptions=True) == [error, error]
    assert await batch.call(3) == 9


async def test_too_many_or_too_few_answers_are_an_error_and_leave_nobody_waiting(server: Server):
    batch = Batch(server.run)
    server.surplus = [0]
    answers = await asyncio.wait_for(asyncio.gather(*calls(batch, [1, 2]), return_exceptions=True), 5)
    assert answers == [1, 4]
    server.surplus = []

    async def forgetful(items: Sequence[int]) -> list[int]:
        return [0]

    first, second = await asyncio.wait_for(asyncio.gather(*calls(Batch(forgetful), [1, 2]), return_exceptions=True), 5)
    assert first == 0
    assert isinstance(second, ValueError)


def _unavailable(cause: Exception) -> StoreUnavailable:
    error = StoreUnavailable("away")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "cause, sent, failed",
    [
        # Redis is silent: those behind are told at once instead of waiting as long again.
        (TimeoutError(), [[0]], [0, 1, 2, 3]),
        # Redis said no, or the connection broke: the next call may well work.
        (ConnectionError(), [[0], [1, 2], [3]], [0]),
    ],
)
async def test_no_queue_forms_behind_a_redis_that_is_silent(
    server: Server, cause: Exception, sent: list[list[int]], failed: list[int]
):
    server.busy()
    batch = Batch(server.run, largest=2, concurrent=1)
    pending = calls(batch, [0])
    await ticks()
    pending += calls(batch, [1, 2, 3])
    await ticks()
    server.error = _unavailable(cause)
    server.free.set()
    answers = await asyncio.gather(*pending, return_exceptions=True)
    assert [item for item, answer in enumerate(answers) if isinstance(answer, StoreUnavailable)] == failed
    assert server.batches == sent
    assert await batch.call(5) == 25


async def test_a_caller_who_gives_up_disturbs_no_other(server: Server):
    server.busy()
    batch = Batch(server.run)
    pending = calls(batch, [1, 2, 3])
    await ticks()
    pending[1].cancel()
    server.free.set()
    first, second, third = await asyncio.gather(*pending, return_exceptions=True)
    assert (first, third) == (1, 9)
    assert isinstance(second, asyncio.CancelledError)
    assert await batch.call(4) == 16


async def test_a_caller_who_gives_up_disturbs_no_error(server: Server):
    server.busy()
    batch = Batch(server.run)
    pending = calls(batch, [1, 2])
    await ticks()
    pending[0].cancel()
    server.error = error = StoreUnavailable("away")
    server.free.set()
    first, second = await asyncio.gather(*pending, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert second is error


async def test_a_cancelled_run_leaves_nobody_waiting(server: Server):
    batch = Batch(server.run)
    server.error = asyncio.CancelledError()
    answers = await asyncio.wait_for(asyncio.gather(*calls(batch, [1, 2]), return_exceptions=True), 5)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 2
    assert await batch.call(3) == 9


def test_nothing_outlives_the_loop(server: Server):
    server.busy()
    batch = Batch(server.run, concurrent=1)

    async def leave() -> None:
        callers.extend(calls(batch, [1]))
        await ticks()
        callers.extend(calls(batch, [2]))
        await ticks()

    callers: list[asyncio.Task[int]] = []
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        runner.run(leave())
    assert [caller.cancelled() for caller in callers] == [True, True]
    assert asyncio.all_tasks(loop) == set()
    assert server.batches == [[1]]


async def test_many_callers_each_get_their_own_answer(server: Server):
    batch = Batch(server.run, largest=7)

    async def caller(item: int) -> bool:
        for step in range(20):
            if await batch.call(item + step) != (item + step) ** 2:
                return False
        return True

    assert all(await asyncio.gather(*(caller(item) for item in range(50))))
    assert len(server.batches) < 50 * 20
    assert max(len(sent) for sent in server.batches) == 7
