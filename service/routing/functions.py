"""The functions an expression may call, and what they take."""

from dataclasses import dataclass

from service.routing.types import BOOL, BYTES, DOUBLE, DYNAMIC, INT, STRING, UINT, Type

_ANY_LIST = Type("list")
_ANY_MAP = Type("map")


@dataclass(frozen=True, slots=True)
class Function:
    """`overloads`: types of the arguments, a method's receiver first, and the type of the result."""

    overloads: tuple[tuple[tuple[Type, ...], Type], ...]
    as_function: bool = True
    as_method: bool = False

    def result_of(self, arguments: list[Type]) -> Type | None:
        """None: no overload takes these."""
        for wanted, result in self.overloads:
            if len(wanted) == len(arguments) and all(map(_takes, wanted, arguments)):
                return result
        return None


def _takes(wanted: Type, given: Type) -> bool:
    return DYNAMIC in (wanted, given) or wanted.name == given.name


def _conversion(result: Type, *sources: Type) -> Function:
    return Function(tuple(((source,), result) for source in sources))


_ABOUT_A_STRING = Function((((STRING, STRING), BOOL),), as_function=False, as_method=True)

FUNCTIONS: dict[str, Function] = {
    "contains": _ABOUT_A_STRING,
    "startsWith": _ABOUT_A_STRING,
    "endsWith": _ABOUT_A_STRING,
    "matches": Function((((STRING, STRING), BOOL),), as_method=True),
    "size": Function(tuple(((sized,), INT) for sized in (STRING, BYTES, _ANY_LIST, _ANY_MAP)), as_method=True),
    "int": _conversion(INT, INT, UINT, DOUBLE, STRING),
    "uint": _conversion(UINT, INT, UINT, DOUBLE, STRING),
    "double": _conversion(DOUBLE, INT, UINT, DOUBLE, STRING),
    "string": _conversion(STRING, INT, UINT, DOUBLE, STRING, BYTES),
    "dyn": _conversion(DYNAMIC, DYNAMIC),
}
