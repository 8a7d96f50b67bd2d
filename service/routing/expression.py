"""Conditions of routing rules: compiled once, evaluated for each request, never the reason why a request fails."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from service.models.patterns import Pattern
from service.models.routing_rules import MAX_EXPRESSION
from service.routing.cel_alone import cel
from service.routing.environment import SHORTEST, VARIABLES, Environment
from service.routing.growth import MAX_HANDLED, handled_by
from service.routing.syntax import parse
from service.routing.tokens import BLANKS, shortened
from service.routing.typecheck import Checker, known_functions
from service.routing.types import BOOL

MAX_COMPILED = 4_096


@dataclass(frozen=True, slots=True)
class Match:
    """`error`: why the expression could not be evaluated, which counts as no match."""

    matched: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Expression:
    """`variables`: those it refers to. `program` is None when there is nothing to evaluate: always true. `handled` is what
    growth.py says of it; `longest`: characters of its longest text.
    """

    text: str
    variables: frozenset[str] = frozenset()
    program: cel.Program | None = None
    patterns: Mapping[str, Pattern] = field(default_factory=dict)
    handled: tuple[float, ...] = ()
    longest: int = 0

    def matches(self, variables: Mapping[str, object] | Environment) -> bool:
        return self.evaluate(variables).matched

    def evaluate(self, variables: Mapping[str, object] | Environment) -> Match:
        """Many expressions about one request share an Environment: making it takes longer than evaluating ten of them."""
        if self.program is None:
            return ALWAYS
        try:
            environment = variables if isinstance(variables, Environment) else Environment.of(variables)
            if self.handled[environment.place_of_count] * max(self.longest, environment.longest) > MAX_HANDLED:
                return Match(False, "handles too much text")
            environment.searches.begin(self.patterns)
            result = self.program.execute(environment.context)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the library is no Exception
            return Match(False, _reason(error))
        if environment.searches.were_too_many:
            return Match(False, "matches() is asked to search too much text")
        if isinstance(result, bool):
            return ALWAYS if result else NEVER
        return Match(False, f"gives {type(result).__name__}, not true or false")


ALWAYS = Match(True)
NEVER = Match(False)


@lru_cache(maxsize=MAX_COMPILED)
def compile_expression(text: str) -> Expression:
    """ValueError says what is wrong, as what the expression does: "refers to unknown variables: foo; ..."."""
    if len(text) > MAX_EXPRESSION:
        raise ValueError(f"must not be longer than {MAX_EXPRESSION} characters")
    if not text.strip(BLANKS):
        return Expression(text)
    checker = Checker(text)
    tree = parse(text)
    result = checker.type_of(tree, {})
    if checker.unknown_variables:
        unknown = shortened(", ".join(sorted(checker.unknown_variables)))
        raise ValueError(f"refers to unknown variables: {unknown}; known are {', '.join(sorted(VARIABLES))}")
    if checker.unknown_functions:
        unknown = shortened(", ".join(sorted(checker.unknown_functions)))
        raise ValueError(f"calls unknown functions: {unknown}; known are {', '.join(known_functions())}")
    if result != BOOL:
        raise ValueError(f"must give true or false, not {result}")
    handled, longest = handled_by(tree), max(SHORTEST, checker.longest)
    if handled[0] * longest > MAX_HANDLED:
        raise ValueError("could copy too much text, whatever the request: loops that multiply what other loops have made")
    return Expression(text, frozenset(checker.variables), _compile(checker.rewritten()), checker.patterns, handled, longest)


def _compile(rewritten: str) -> cel.Program:
    try:
        return cel.compile(rewritten)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the library is no Exception
        raise ValueError(f"does not parse: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"there is no key {error.args[0]}"
    message = str(error)
    # The library draws the expression and points into it, or adds general advice.
    syntax_error = re.search(r"ERROR: <input>:[0-9]+:[0-9]+: (.*)", message)
    return syntax_error[1] if syntax_error else message.partition(". ")[0].removesuffix(".")
