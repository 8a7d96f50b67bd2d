"""Which conditions are refused, with which reason, and how deep and long one may get."""

import pytest

from service.models.routing_rules import MAX_EXPRESSION
from service.routing.expression import compile_expression
from service.routing.syntax import MAX_DEPTH
from service.routing.typecheck import MAX_PATTERNS
from tests.routing.requests import REQUEST

REFUSED = [
    # Does not parse.
    ("model ==", "does not parse: a value expected, the end found at character 9"),
    ("model == 'a", "a string that does not end, or has an unknown escape, at character 10"),
    ('model == "\\q"', "unknown escape, at character 10"),
    ('model == "\\ud800"', "there is no character U+D800"),
    ("model = 'a'", "there is no use for '=' at character 7"),
    ("model == 'a' # no", "there is no use for '#' at character 14"),
    ("(true", "')' expected, the end found"),
    ("true)", "the end expected, ')' found at character 5"),
    ("true true", "the end expected, 'true' found"),
    ("true ? true", "':' expected"),
    ("true ? true ? true : true : true", "':' expected, '?' found"),
    ("[1, 2", "']' expected"),
    ("{1 2}", "':' expected, '2' found"),
    ("size(model,) > 1", "a value expected, ')' found"),
    ("in == 1", "a value expected, 'in' found"),
    ("package == 1", "a value expected, 'package' found"),
    (".model == 'a'", "a value expected, '.' found"),
    ("headers.in == 'a'", "a name expected, 'in' found"),
    ("headers.`x` == 'a'", "there is no use for '`'"),
    ("and true", "the end expected, 'true' found"),
    ("model == 'a' and true", "the end expected, 'and' found"),
    ("Foo{a: 1} == Foo{}", "the end expected, '{' found"),
    ("// nothing but a comment", "a value expected, the end found"),
    ("1. > 0", "a name expected, '>' found"),
    ("9223372036854775808 > 0", "does not parse: invalid int literal"),
    ("has(model)", 'for a quoted name write "x-tier" in headers'),
    ('has(headers["x-tier"])', 'for a quoted name write "x-tier" in headers'),
    ("[1].all(x)", "all() takes 2 arguments"),
    ("[1].map(x)", "map() takes 2 or 3 arguments"),
    ("[1].all('x', true)", "the first argument of all() is a name"),
    ('model == "\ud800"', "does not parse"),
    # Unknown names.
    ("modle == 'a'", "refers to unknown variables: modle; known are budget_used, complexity_tier,"),
    ("foo == 1 || bar(baz)", "refers to unknown variables: baz, foo; known"),
    ("headers.x-tier == 'gold'", "refers to unknown variables: tier"),
    ("[1].all(x, x > 0) && x > 0", "refers to unknown variables: x"),
    ("lower(model) == 'a'", "calls unknown functions: lower; known are all, contains,"),
    ("model.lowerAscii() == 'a'", "calls unknown functions: lowerAscii"),
    ("quotad_search(model, 'a')", "calls unknown functions: quotad_search"),
    # Does not type-check.
    ("model == 1", "'==' does not take a string and an int, in model == 1"),
    ("model > 1", "'>' does not take a string and an int"),
    ('budget_used > "80"', "'>' does not take a double and a string"),
    ('headers["x-count"] > 6', "'>' does not take a string and an int"),
    ("model == null", "'==' does not take a string and null"),
    ("headers == params['a']", "'==' does not take a map and a string"),
    ("[1] == ['a']", "'==' does not take a list and a list"),
    ("[1] < [2]", "'<' does not take a list and a list"),
    ("1 < 2 < 3", "'<' does not take a bool and an int"),
    ('"x" in "xyz"', "'in' does not take a string and a string"),
    ("1 in ['a']", "'in' does not take an int and a list"),
    ("1 in headers", "'in' does not take an int and a map"),
    ("2.0 in {2: 1}", "'in' does not take a double and a map"),
    ("model - 'a' == ''", "'-' does not take a string and a string"),
    ("model * 2 == ''", "'*' does not take a string and an int"),
    ("budget_used % 2 == 0", "'%' does not take a double and an int"),
    ("1 + 1u == 2", "'+' does not take an int and a uint"),
    ("!model", "'!' does not take a string"),
    ("-model == 'a'", "'-' does not take a string"),
    ("-1u == 1", "'-' does not take a uint"),
    ("model && true", "a string stands where true or false is wanted, in model"),
    ("true || 1", "an int stands where true or false is wanted, in 1"),
    ("model ? true : false", "a string stands where true or false is wanted"),
    ("true ? 'a' : false", "one branch is a string, the other a bool"),
    ("model.name == 'a'", "a string has no members, in model.name"),
    ("request.auth == 'a'", "a double has no members"),
    ("has(headers.a.b)", "a string has no members"),
    ("model[0] == 'g'", "nothing in a string is found by an int"),
    ("headers[1] == 'a'", "nothing in a map is found by an int"),
    ("[1][1.0] == 1", "nothing in a list is found by a double"),
    ("{1.5: 1} == {}", "a double cannot be a key"),
    ("size(1) > 0", "size() does not take an int"),
    ("size() > 0", "size() does not take nothing"),
    ("model.startsWith(1)", "startsWith() does not take a string and an int"),
    ("startsWith(model, 'a')", "startsWith() is called as value.startsWith(...)"),
    ("'1'.int() == 1", "int() is called as int(value)"),
    ("model.all(c, true)", "all() does not take a string"),
    ("[1].all(x, x)", "an int stands where true or false is wanted, in x"),
    ("[1].filter(x, x) == [1]", "an int stands where true or false is wanted"),
    # Regular expressions.
    ('model.matches("(")', 'not a regular expression (unclosed group), in "("'),
    ('model.matches("(?=a)")', "look-around, including look-ahead and look-behind, is not supported"),
    ('model.matches("(a)\\\\1")', "backreferences are not supported"),
    ('model.matches("((a{100}){100}){100}")', "Compiled regex exceeds size limit"),
    (f'model.matches("{"a" * 1001}")', "must not be longer than 1000 characters"),
    ('model.matches(headers["x"])', 'takes its pattern as quoted text, in headers["x"]'),
    (" || ".join(f'model.matches("{number}")' for number in range(MAX_PATTERNS + 1)), "calls matches() more than 20 times"),
    # Ten megabytes each, and a tenth of a second to compile.
    (
        " || ".join(f"model.matches(r'\\w{{200}}{number}')" for number in range(MAX_PATTERNS)),
        "would take too much memory together",
    ),
    # Gives something else than true or false.
    ("1", "must give true or false, not an int"),
    ("model", "must give true or false, not a string"),
    ("budget_used", "must give true or false, not a double"),
    ('headers["x-tier"]', "must give true or false, not a string"),
    ("headers", "must give true or false, not a map"),
    ("null", "must give true or false, not null"),
    ("[true]", "must give true or false, not a list"),
    ("size(model)", "must give true or false, not an int"),
    ("headers.map(k, k)", "must give true or false, not a list"),
    ("true ? model : provider", "must give true or false, not a string"),
    ("dyn(true)", "must give true or false, not a value of unknown type"),
    # Too much.
    ("true" + " && true" * 1250, "must not be longer than 10000 characters"),
    ("headers.map(h, headers.map(k, h + k)).size() == 0", "could take more than 400,000 steps"),
    ('model.matches("(a{1,100}){1,100}")', "its repeats multiply"),
    ("[1].all(a, [1].all(b, [1].all(c, true)))", "could take more than 400,000 steps"),
    # Gigabytes, of a condition that needs nothing of the request.
    (f"[{','.join('0' * 256)}].map(n, '{'x' * 1000}').map(x, {'+'.join('x' * 45)}).size() == 0", "could copy too much text"),
    (
        f"['{'x' * 100}'].map(x, [{','.join('x' * 200)}]).map(x, {'+'.join('x' * 45)}).map(x, [x, x]) == []",
        "could copy too much text",
    ),
]

# What there are n of, and the largest n that fits.
DEEP = [
    ("parentheses", lambda n: "(" * n + "true" + ")" * n, MAX_DEPTH - 1),
    ("lists", lambda n: "[" * n + "1" + "]" * n + " == []", MAX_DEPTH - 2),
    ("maps", lambda n: "{1:" * n + "1" + "}" * n + " == {}", MAX_DEPTH - 2),
    ("calls", lambda n: "int(" * n + "1" + ") " * n + " == 1", MAX_DEPTH - 2),
    ("sums", lambda n: "1" + "+1" * n + " > 0", MAX_DEPTH - 2),
    ("comparisons", lambda n: "true" + " == true" * n, MAX_DEPTH - 1),
    ("branches", lambda n: "true ? true : " * n + "true", MAX_DEPTH - 1),
    ("conditions", lambda n: "(" * n + "true" + " ? true : false)" * n, (MAX_DEPTH - 1) // 2),
    ("conversions", lambda n: "int(budget_used + " * n + "1" + ")" * n + " > 0", (MAX_DEPTH - 2) // 2),
    ("mixed branches", lambda n: "(true ? budget_used : " * n + "1" + ")" * n + " > 0", (MAX_DEPTH - 2) // 2),
]


@pytest.mark.parametrize("text, reason", REFUSED)
def test_refused(text: str, reason: str):
    with pytest.raises(ValueError) as refusal:
        compile_expression(text)
    assert reason in str(refusal.value)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("build, deepest", [pytest.param(build, deepest, id=what) for what, build, deepest in DEEP])
def test_the_library_takes_whatever_is_not_too_deep(build, deepest: int):
    assert compile_expression(build(deepest)).evaluate(REQUEST).error is None
    with pytest.raises(ValueError, match=f"nested too deeply: no more than {MAX_DEPTH} levels"):
        compile_expression(build(deepest + 1))


def test_many_alternatives_are_not_deep():
    one_of_many = " || ".join(f'model == "model-{number}"' for number in range(400))
    assert not compile_expression(one_of_many).matches(REQUEST)
    assert compile_expression(one_of_many + ' || model == "gpt-4o"').matches(REQUEST)


def test_the_length_bound_counts_characters():
    fits = '"' + "é" * (MAX_EXPRESSION - 11) + '" == model'
    assert len(fits) == MAX_EXPRESSION
    assert not compile_expression(fits).matches(REQUEST)
    with pytest.raises(ValueError, match="must not be longer than 10000 characters"):
        compile_expression(fits + " ")
