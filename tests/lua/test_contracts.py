"""What a script says about itself in its header is what its code does; an include is one function of its arguments."""

import re
from pathlib import Path

import pytest
from redis import Redis

from service.store import keys
from service.store.scripts import LUA, compose, with_flags

KEYS_MODULE = Path(keys.__file__)
COMMANDS = sorted(LUA.glob("*.lua"))
INCLUDES = sorted((LUA / "includes").glob("*.lua"))

SECTIONS = ("KEYS", "ARGV", "RETURNS", "WRITES")
READING = {
    "EXISTS", "GET", "HGET", "HGETALL", "HMGET", "MGET", "TIME", "ZCARD", "ZRANGE", "ZRANGEBYLEX", "ZSCORE",
}  # fmt: skip


def _id(path: Path) -> str:
    return path.stem


def header_of(path: Path) -> str:
    match = re.match(r"--\[\[\n(.*?)\n\]\]\n", path.read_text(), re.DOTALL)
    assert match, "a script begins with its header"
    return match[1]


def code_of(text: str) -> str:
    """Without comments."""
    return re.sub(r"--.*", "", re.sub(r"--\[\[.*?\]\]", "", text, flags=re.DOTALL))


def sections_of(path: Path) -> dict[str, str]:
    header = header_of(path)
    found = re.findall(r"^([A-Z]+)\n((?:  .*\n?|\n)+)", header + "\n", re.MULTILINE)
    return dict(found)


def includes_of(text: str) -> list[str]:
    return re.findall(r'^--- @include "([a-z_]+)"$', text, re.MULTILINE)


@pytest.mark.parametrize("path", COMMANDS, ids=_id)
def test_a_header_has_all_sections(path: Path):
    assert header_of(path).startswith(f"{path.stem}: ")
    assert tuple(sections_of(path)) == SECTIONS
    assert not path.read_text().startswith("#!"), "the loader adds the line that Redis 7 understands"


@pytest.mark.parametrize("path", COMMANDS, ids=_id)
@pytest.mark.parametrize("name", ["KEYS", "ARGV"])
def test_every_documented_slot_is_used_and_every_used_slot_documented(path: Path, name: str):
    documented = re.findall(r"^  \[(\d+)(\.\.)?\]", sections_of(path)[name], re.MULTILINE)
    code = code_of(path.read_text())
    single = {number for number, more in documented if not more}
    assert single == set(re.findall(rf"\b{name}\[(\d+)\]", code))
    # The rest of a list is read by computed places, or handed on as a whole.
    the_rest = re.search(rf"\b{name}\[[^\]]*[a-z]|#{name}\b|\b{name}\b(?!\[)", code) is not None
    assert the_rest == any(more for _, more in documented)


@pytest.mark.parametrize("path", COMMANDS, ids=_id)
def test_status_words_are_those_of_the_header(path: Path):
    documented = set(re.findall(r"\{'([a-z_]+)'", sections_of(path)["RETURNS"]))
    code = code_of(compose(path.stem))
    # A word begins an answer, or is what an include decided.
    assert set(re.findall(r"(?:\{|\breturn) '([a-z_]+)'", code)) == documented


@pytest.mark.parametrize("path", COMMANDS, ids=_id)
def test_what_writes_nothing_has_no_command_that_writes(path: Path):
    commands = set(re.findall(r"redis\.p?call\('([A-Z]+)'", code_of(compose(path.stem))))
    promises = sections_of(path)["WRITES"].strip() == "nothing"
    # What is given as data (redis.call(write[1], ...)) is not in sight; such a script cannot promise.
    computed = re.search(r"redis\.p?call\([^']", code_of(compose(path.stem))) is not None
    assert (commands <= READING and not computed) == promises
    assert ("flags=no-writes" in with_flags(compose(path.stem), 7)) == promises


def names_of(include: str) -> list[str]:
    """What it gives to those who name it: one function, or else constants."""
    code = code_of((LUA / "includes" / f"{include}.lua").read_text())
    constants = re.fullmatch(r"\s*local ([A-Z_, ]+) = [0-9, ]+\s*", code)
    return constants[1].split(", ") if constants else [include]


@pytest.mark.parametrize("path", INCLUDES, ids=_id)
def test_an_include_is_one_function_of_its_arguments(path: Path):
    code = code_of(path.read_text()).strip()
    if names_of(path.stem) != [path.stem]:
        return
    # What it remembers while a script runs may stand before it.
    code = re.sub(r"\A(local [A-Za-z_, ]+ = .*\n+)+", "", code)
    assert code.startswith(f"local function {path.stem}(")
    assert code.endswith("\nend")
    assert len(re.findall(r"^(?:local )?function", code, re.MULTILINE)) == 1
    assert not re.search(r"\b(KEYS|ARGV)\b", code), "a script owns KEYS and ARGV"
    assert re.search(r"^-- \S", path.read_text(), re.MULTILINE), "no word on what it is for"


@pytest.mark.parametrize("path", COMMANDS + INCLUDES, ids=_id)
def test_what_is_included_is_used(path: Path):
    text = path.read_text()
    for name in includes_of(text):
        used = [re.search(rf"\b{one}\b", code_of(text).replace(f"local function {one}", "")) for one in names_of(name)]
        assert any(used), f"{name} is included for nothing"
    body = re.sub(r"\A--\[\[.*?\]\]\n", "", text, flags=re.DOTALL)
    lines = body.split("\n")
    assert all(line.startswith("--- @include") for line in lines[: len(includes_of(text))]), "includes come first"


@pytest.mark.parametrize("path", COMMANDS, ids=_id)
def test_functions_are_defined_once_and_before_they_are_used(path: Path):
    code = code_of(compose(path.stem))
    defined = [(match[1], match.start()) for match in re.finditer(r"\blocal function ([a-z_]+)\(", code)]
    names = [name for name, _ in defined]
    assert len(names) == len(set(names))
    for name, place in defined:
        uses = [match.start() for match in re.finditer(rf"(?<!function )(?<![.'\w]){name}\(", code)]
        assert not uses or min(uses) > place
    includes = {include.stem for include in INCLUDES}
    called = set(re.findall(r"(?<![.:\w])([a-z_]+)\(", code)) & includes
    assert called <= set(names), "it leans on an include that it does not name"


def test_every_include_is_used():
    composed = "".join(compose(path.stem) for path in COMMANDS)
    unused = []
    for name in (path.stem for path in INCLUDES):
        names = names_of(name)
        begins = f"local function {name}(" if names == [name] else f"local {', '.join(names)} = "
        unused += [] if begins in composed else [name]
    assert unused == []


@pytest.mark.parametrize("path", COMMANDS, ids=_id)
def test_the_server_takes_it(redis: Redis, path: Path):
    assert redis.script_load(compose(path.stem))


KEY_MAP = {
    "config": "`q1:{<kind>:<id>}:config`",
    "usage": "`q1:{<kind>:<id>}:usage`",
    "index": "`q1:{directory}:<kind>:<order>`",
    "children": "`q1:{directory}:<kind>:of:<parent kind>:<parent id>`",
    "versions": "`q1:{directory}:versions`",
    "counters_format": "`q1:{directory}:counters_format`",
    "price_sheet": "`q1:{directory}:price_sheet`",
    "sequence": "`q1:{directory}:sequence:<name>`",
    "lock": "`q1:{directory}:lock:<config key>`",
    "reservation": "`q1:{r<bucket>}:id:<request id>`",
    "open_index": "`q1:{r<bucket>}:open`",
    "reservation_part": "`q1:{<kind>:<id>}:id:<request id>`",
    "plan": "`q1:{plan:<digest>}:plan`",
}
OF_THE_SAME_KEYS = {"template", "all_open_indexes", "any_usage", "any_reservation"}


def test_the_key_map_has_every_key():
    spelled = set(
        re.findall(r"^def ([a-z_]+)\(.*?\n(?:    .*\n|\n)*?    return \[?f\"\{LAYOUT\}", KEYS_MODULE.read_text(), re.MULTILINE)
    )
    assert spelled == KEY_MAP.keys() | OF_THE_SAME_KEYS
    readme = (LUA / "README.md").read_text()
    assert [row for row in KEY_MAP.values() if row not in readme] == []


def test_the_readme_has_every_status_word():
    documented = set(re.findall(r"`([a-z]+)`", (LUA / "README.md").read_text()))
    for path in COMMANDS:
        words = set(re.findall(r"\{'([a-z_]+)'", sections_of(path)["RETURNS"]))
        assert words <= documented, path.stem
