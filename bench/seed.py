"""Fills a store with many virtual keys: a few are made through the API, the rest are copies made inside Redis.

A copy differs from its original in what must differ: the value, the id that follows from it, the name, the ids of its
limits. So the store holds exactly what the service would have written, whatever the layout, only sooner.
"""

import random
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson
from redis import Redis

from bench.plain_http import ask
from bench.traffic import ADMIN_TOKEN, QUOTA_PATH, get, post
from service.store.keys import virtual_key_id

ADMIN: Final = {"authorization": f"Bearer {ADMIN_TOKEN}"}
GOVERNANCE: Final = "/api/governance"
CHUNK: Final = 500
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOMENT: Final = re.compile(rb'(_reset|_reset_at)":"[^"]+"')
_COUNTER: Final = re.compile(rb'(usage|reserved|remaining)":[0-9.e+-]+')

_COPY: Final = """
-- ARGV: JSON of the original (texts: what copies replace; hashes: name, fields; sets: name, members), then of each copy
-- the texts that take their places.
local original = cjson.decode(ARGV[1])

-- Text and places in turn: {'q1:{vk:', 2, '}:config'}.
local function cut(text)
  local pieces, from = {}, 1
  while true do
    local first, last, place
    for number, wanted in ipairs(original.texts) do
      local at, ends = string.find(text, wanted, from, true)
      if at and (not first or at < first) then
        first, last, place = at, ends, number
      end
    end
    pieces[#pieces + 1] = string.sub(text, from, (first or 0) - 1)
    if not first then
      return pieces
    end
    pieces[#pieces + 1] = place
    from = last + 1
  end
end

local function fill(pieces, texts)
  local filled = {}
  for at, piece in ipairs(pieces) do
    filled[at] = texts[piece] or piece
  end
  return table.concat(filled)
end

for _, hash in ipairs(original.hashes) do
  hash.name = cut(hash.name)
  for place, text in ipairs(hash.fields) do
    hash.fields[place] = cut(text)
  end
end
for _, counters in ipairs(original.counters) do
  counters.original, counters.name = counters.name, cut(counters.name)
end
for _, set in ipairs(original.sets) do
  for place, member in ipairs(set.members) do
    set.members[place] = cut(member)
  end
end

for number = 2, #ARGV do
  local texts = cjson.decode(ARGV[number])
  for _, hash in ipairs(original.hashes) do
    local fields = {}
    for place, pieces in ipairs(hash.fields) do
      fields[place] = fill(pieces, texts)
    end
    redis.call('HSET', fill(hash.name, texts), unpack(fields))
  end
  -- Counters are no text.
  for _, counters in ipairs(original.counters) do
    redis.call('COPY', counters.original, fill(counters.name, texts))
  end
  for _, set in ipairs(original.sets) do
    for _, pieces in ipairs(set.members) do
      redis.call('ZADD', set.name, 0, fill(pieces, texts))
    end
  end
end
"""


@dataclass(frozen=True, slots=True)
class SeededKey:
    """A virtual key that the API made. Its name must be found nowhere else in what is stored of it."""

    id: str
    value: str = field(repr=False)
    name: str


def create(url: str, path: str, content: object, *, method: str = "POST") -> dict[str, Any]:
    answer = ask(url, [post(GOVERNANCE + path, ADMIN, content, method=method)])[0]
    if answer.status not in (200, 201):
        raise RuntimeError(f"{method} {path} answered {answer.status}: {answer.body.decode()}")
    return cast("dict[str, Any]", answer.json())


def create_key(url: str, content: dict[str, Any]) -> SeededKey:
    made = create(url, "/virtual-keys", content)["virtual_key"]
    return SeededKey(made["id"], made["value"], made["name"])


class Copier:
    """Copies keys in a store that holds little more than the originals when this is made."""

    def __init__(self, redis: "Redis", originals: Sequence[SeededKey]) -> None:
        self._script = redis.register_script(_COPY)
        self._originals = [_described(redis, original) for original in originals]
        self._next = 0

    def copy(self, count: int, progress: Callable[[int], None] = lambda _: None) -> list[str]:
        """Values of `count` more keys, of each original in turn."""
        values: list[str] = []
        while len(values) < count:
            for original in self._originals:
                wanted = min(CHUNK, count // len(self._originals) + 1, count - len(values))
                copies = [original.copy(self._next + place) for place in range(wanted)]
                if copies:
                    self._script(args=[original.as_json, *(orjson.dumps(texts) for _, texts in copies)])
                self._next += len(copies)
                values += [value for value, _ in copies]
                progress(len(values))
        return values


@dataclass(frozen=True, slots=True)
class _Original:
    key: SeededKey
    limit_ids: list[str]
    as_json: bytes

    def copy(self, number: int) -> tuple[str, list[str]]:
        """Its value and its texts. The value follows from the name: the same in every run."""
        name = f"{self.key.name}-{number:08}"
        value = self.key.value[:-36] + str(uuid.UUID(int=random.Random(name).getrandbits(128), version=4))
        return value, [value, virtual_key_id(value), name, *(f"{limit_id[:-12]}{number:012x}" for limit_id in self.limit_ids)]


def _described(redis: "Redis", key: SeededKey) -> _Original:
    this = key.id.encode()
    hashes, counters, sets, limit_ids = [], [], [], set[str]()
    for name in redis.scan_iter(count=1000):
        kind = redis.type(name)
        if this in name and name.endswith(b":usage"):
            counters.append({"name": name.decode()})
        elif this in name and kind == b"hash":
            stored = cast("dict[bytes, bytes]", redis.hgetall(name))
            hashes.append({"name": name.decode(), "fields": [text.decode() for pair in stored.items() for text in pair]})
            # Ids of its limits; a team or customer that it names stays the same in every copy.
            inside = b" ".join(text for member, text in stored.items() if member not in (b"team_id", b"customer_id"))
            limit_ids |= {found.decode() for found in _UUID.findall(inside)} - {key.id, key.value[-36:]}
        elif kind == b"zset":
            every = cast("Iterable[tuple[bytes, float]]", redis.zscan_iter(name))
            members = [member.decode() for member, _ in every if this in member]
            if members:
                sets.append({"name": name.decode(), "members": members})
    texts = [key.value, key.id, key.name, *sorted(limit_ids)]
    return _Original(key, texts[3:], orjson.dumps({"texts": texts, "hashes": hashes, "counters": counters, "sets": sets}))


def check_copies(url: str, original: SeededKey, values: Sequence[str], *, samples: int = 20) -> None:
    """Reads copies and their original through the service: they must be the same but for what must differ.

    A window that ended since the copy was made begins anew when it is read, and what a team or a customer used moves with its
    other keys: neither says anything about the copy.
    """
    wanted = _shown(url, original.value)
    for value in random.sample(values, min(samples, len(values))):
        found = _shown(url, value)
        if found != wanted:
            raise RuntimeError(f"a copied key is not like its original: {found} {wanted}")


def _shown(url: str, value: str) -> list[bytes]:
    quota = ask(url, [get(QUOTA_PATH, {"x-bf-vk": value})])[0].body
    admin = ask(url, [get(f"{GOVERNANCE}/virtual-keys/{virtual_key_id(value)}", ADMIN)])[0].body
    return lasting(quota, admin)


def lasting(quota: bytes, admin: bytes) -> list[bytes]:
    """What two answers about a key say that is neither its own name nor of the moment."""
    name = orjson.loads(quota)["virtual_key_name"].encode()
    # The key's own counters stand in its quota: nobody else moves them.
    shown = (quota, _COUNTER.sub(rb'\1":0', admin))
    return [_UUID.sub(b"id", _MOMENT.sub(rb'\1":"then"', text)).replace(b'"%s"' % name, b'"name"') for text in shown]
