"""Patterns are searched for anywhere, in linear time, and a wrong one is refused with its reason."""

import pytest

from service.models.patterns import MAX_PATTERN, Pattern, compile_pattern, size_of, weight_of
from tests.processor_time import takes_less_than_s


@pytest.mark.parametrize(
    "pattern, text, found",
    [
        ("", "", True),
        ("b", "abc", True),
        ("^b", "abc", False),
        ("c$", "abc", True),
        ("^abc$", "abc", True),
        ("B", "abc", False),
        ("(?i)B", "abc", True),
        ("a.c", "a\nc", False),
        ("(?s)a.c", "a\nc", True),
        (r"\d{3}", "ab123", True),
        ("é+", "caféé", True),
        (r"\pL", "é", True),
        ("a", "\ud800a", False),
    ],
)
def test_search(pattern: str, text: str, found: bool):
    assert Pattern(pattern).search(text) is found


@pytest.mark.parametrize(
    "pattern, reason",
    [
        ("(", "unclosed group"),
        ("[a", "unclosed character class"),
        ("*", "repetition operator missing expression"),
        ("(?=a)", "look-around, including look-ahead and look-behind, is not supported"),
        (r"(a)\1", "backreferences are not supported"),
        (r"\w{1000}", "Compiled regex exceeds size limit of 10485760 bytes"),
        ("(a{1,100}){1,100}z", "its repeats multiply to a pattern that would take too long to search for"),
        ("a" * (MAX_PATTERN + 1), "a pattern must not be longer than 1000 characters"),
    ],
)
def test_refused(pattern: str, reason: str):
    with pytest.raises(ValueError) as refusal:
        Pattern(pattern)
    assert str(refusal.value) == reason


def test_no_pattern_backtracks():
    pattern, text = Pattern("(a*)*b"), "a" * 10_000
    assert not pattern.search(text)
    assert takes_less_than_s(1, lambda: pattern.search(text))


def test_a_pattern_is_compiled_once():
    assert compile_pattern("^a") is compile_pattern("^a")


@pytest.mark.parametrize(
    "pattern, size",
    [
        ("", 0),
        ("^abc$", 3),
        ("a|bc*", 3),
        (r"a\.b", 3),
        ("a.c", 7),
        (r"\d\w\pL\p{Greek}", 20),
        ("[]a][^\\]x][[:alpha:]][a[bc]]", 20),
        ("a{3}", 3),
        ("a{3,}", 4),
        ("a{3,7}", 7),
        ("a{0}", 1),
        (r"\x{41}{3}", 3),
        ("(ab){5}", 10),
        ("(?:ab|c){5}(?P<name>d)(?i:e)", 17),
        ("((a{10}){10}){10}", 1_000),
        ("(a|b|ab)*(c|a{1,400}){1,100}z$", 40_105),
    ],
)
def test_size(pattern: str, size: int):
    assert size_of(pattern) == size


@pytest.mark.parametrize(
    "pattern, weight",
    [
        ("^abc$", 3),
        (r"\w+", 85),
        (r"(\w{10}|[\w.-]{2,10}){2}", 2 * (850 + 850)),
        (r"[a-z0-9]{100}.\s", 0),
        (f"[{'x' * 158}]{{10}}", 100),
    ],
)
def test_weight(pattern: str, weight: int):
    assert weight_of(pattern) == weight
