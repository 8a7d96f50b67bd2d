"""What lua/includes/carry_over.lua computes, in Python: for the tests that compare the two, and for those that model a commit."""

from service.entities import Counter
from service.windows import CarryOver, current


def carry_over(counter: Counter, edit: CarryOver, now_ms: int) -> Counter:
    """First the lazy reset by the window so far: what it had forgotten must not come back in a longer one."""
    settled = current(counter, edit.was, now_ms)
    if edit.into is None:
        return settled
    return settled._replace(last_reset_ms=current(settled, edit.into, now_ms).last_reset_ms)
