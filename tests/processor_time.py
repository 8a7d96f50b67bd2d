"""How much of a processor something takes, where that is what a test is about."""

import time
from collections.abc import Callable


def takes_less_than_s(limit_s: float, call: Callable[[], object]) -> bool:
    """One time of ten: into any of them may fall a garbage collection of all that the tests before left, or a busy neighbour."""
    for _ in range(10):
        started = time.process_time()
        call()
        if time.process_time() - started < limit_s:
            return True
    return False
