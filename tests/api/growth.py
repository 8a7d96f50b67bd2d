"""How much a worker holds: the entries of every container that the service's own objects keep, by where they are kept."""

import sys
from collections import Counter, deque
from collections.abc import Collection, Iterator
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

_GROWING: Final = (dict, list, set, deque)
_FIXED: Final = (tuple, frozenset)


def kept_by(*roots: object, sealed: Collection[str] = ()) -> Counter[str]:
    """`service.quota.plans.Kept._values: 3`, containers in it at `service.quota.plans.Kept._values[]`.

    Neither objects of libraries nor containers in `sealed` places are looked into.
    """
    found: Counter[str] = Counter()
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [("", root) for root in roots]
    waiting += [("", module) for name, module in sys.modules.items() if _is_ours(name)]
    while waiting:
        place, one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, _GROWING):
            found[place] += len(one)
            if place in sealed:
                continue
        waiting += _inside(place, one)
    return found


def _inside(place: str, one: object) -> Iterator[tuple[str, object]]:
    if isinstance(one, dict):
        yield from ((f"{place}[]", part) for pair in one.items() for part in pair)
    elif isinstance(one, (*_GROWING, *_FIXED)):
        yield from ((f"{place}[]", part) for part in one)
    elif isinstance(one, partial):
        yield from ((place, part) for part in (one.func, one.args, one.keywords))
    elif isinstance(one, MethodType):
        yield place, one.__self__
    elif isinstance(one, FunctionType):
        # As it was written, whatever it wraps and says to be.
        module, name = one.__globals__.get("__name__"), one.__code__.co_qualname
        if _is_ours(module):
            cells = zip(one.__code__.co_freevars, one.__closure__ or (), strict=True)
            yield from ((f"{module}.{name}.{variable}", cell.cell_contents) for variable, cell in cells)
    elif isinstance(one, ModuleType):
        if _is_ours(one.__name__):
            yield from ((f"{one.__name__}.{name}", value) for name, value in vars(one).items() if not name.startswith("__"))
    elif isinstance(one, type) or _is_ours(type(one).__module__):
        owner = one if isinstance(one, type) else type(one)
        if _is_ours(owner.__module__):
            yield from ((f"{owner.__module__}.{owner.__qualname__}.{name}", value) for name, value in _members(one))


def _members(one: object) -> Iterator[tuple[str, Any]]:
    yield from vars(one).items() if hasattr(one, "__dict__") else ()
    for owner in type(one).__mro__:
        for name in getattr(owner, "__slots__", ()):
            if hasattr(one, name):
                yield name, getattr(one, name)


def _is_ours(module: object) -> bool:
    return isinstance(module, str) and module.split(".")[0] == "service"
