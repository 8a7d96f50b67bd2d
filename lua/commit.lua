--[[
commit: apply all writes of an admin's change, or none of them.

The change was computed from what was read before; the checks say what must still be true.

KEYS
  [1..]  every key that a check or a write names, in any order
ARGV
  [1]    now_ms, '' = Redis clock
  [2]    JSON {checks: list of [kind, key, ...], writes: list of [command, key, argument ...]}; key is the place in KEYS, as text
         checks: ['version', key, text]        the hash's field `version` is this ('' = the hash must not exist)
                 ['exists', key]               the key exists
                 ['unique', key, prefix, id]   no member of the sorted set begins with prefix, unless it is prefix .. id
         writes: a command of Redis, or
                 ['count', key, slot, usage, last_reset]    of a counter, new or not; '' = as it is
                 ['uncount', key, slot, slot ...]           counters that are no more
                 ['carry_over', key, slot, length_ms, align, new length_ms ('0': last_reset stays), new align]
                 ['number_entries', key, sequence (place in KEYS), field]
                 ['raise', key, field]    to a version that it never had, even if Redis lost its last second
RETURNS
  {'committed'}
  {'refused', check}    the first check that failed, counted from 1
WRITES
  only when committed
]]
--- @include "resolve_now"
--- @include "carry_over"
--- @include "current_window"
--- @include "state_field"
--- @include "parse_list"
--- @include "fill_state"
--- @include "format_state"
--- @include "emptied_field"
local function member_range(prefix)
  return '[' .. prefix, '(' .. prefix .. '\255'
end

local now = resolve_now(ARGV[1])
local change = cjson.decode(ARGV[2])

for number, check in ipairs(change.checks) do
  local kind, key = check[1], KEYS[tonumber(check[2])]
  local holds
  if kind == 'version' then
    holds = (redis.call('HGET', key, 'version') or '') == check[3]
  elseif kind == 'exists' then
    holds = redis.call('EXISTS', key) == 1
  elseif kind == 'unique' then
    local from, to = member_range(check[3])
    local found = redis.call('ZRANGEBYLEX', key, from, to, 'LIMIT', 0, 2)
    holds = #found == 0 or (#found == 1 and found[1] == check[3] .. check[4])
  end
  assert(holds ~= nil, 'commit: unknown check')
  if not holds then
    return { 'refused', number }
  end
end

-- Lets `edit` change the counter of a slot: it is given usage, last_reset (-1: there is none) and held, and answers them.
local function edit_counter(usage_key, slot, edit)
  local field, place = state_field(tonumber(slot))
  local state = parse_list(redis.call('HGET', usage_key, field))
  fill_state(state, place)
  state[place], state[place + 1], state[place + 2] = edit(state[place], state[place + 1], state[place + 2])
  local last = #state
  while last > 1 and state[last - 1] < 0 do
    state[last], state[last - 1], state[last - 2] = nil, nil, nil
    last = last - 3
  end
  if last > 1 then
    redis.call('HSET', usage_key, field, format_state(state))
  else
    redis.call('HDEL', usage_key, field)
  end
end

local function count(usage_key, slot, usage, last_reset)
  edit_counter(usage_key, slot, function(was_usage, was_reset, held)
    if tonumber(usage) and was_reset >= 0 then
      redis.call('HSET', usage_key, emptied_field(tonumber(slot)), text_of(now))
    end
    return tonumber(usage) or was_usage, tonumber(last_reset) or math.max(0, was_reset), held
  end)
end

local function uncount(usage_key, slots)
  for _, slot in ipairs(slots) do
    edit_counter(usage_key, slot, function()
      return 0, -1, 0
    end)
    redis.call('HDEL', usage_key, emptied_field(tonumber(slot)))
  end
end

-- A window that is over is empty, and the one to come does not tell: what a lease that ended in it would have charged is gone.
local function note_end(usage_key, slot, last_reset, length_ms, align)
  local _, begun = current_window(0, last_reset, now, tonumber(length_ms), align)
  if begun ~= last_reset then
    local field = emptied_field(tonumber(slot))
    local emptied_at = tonumber(redis.call('HGET', usage_key, field) or 0)
    redis.call('HSET', usage_key, field, text_of(math.max(emptied_at, begun - 1)))
  end
end

local function carry_slot_over(usage_key, slot, length_ms, align, new_length_ms, new_align)
  edit_counter(usage_key, slot, function(usage, last_reset, held)
    if last_reset >= 0 then
      note_end(usage_key, slot, last_reset, length_ms, align)
      usage, last_reset = carry_over(usage, last_reset, now, tonumber(length_ms), align, tonumber(new_length_ms), new_align)
    end
    return usage, last_reset, held
  end)
end

-- New entries of a list (JSON text) come with negative ids: each takes the next number of the sequence.
-- Quotes inside JSON texts are escaped, so what looks like the member is the member.
local function number_entries(config_key, sequence_key, field)
  local numbered = string.gsub(redis.call('HGET', config_key, field), '"id":%-%d+', function()
    return string.format('"id":%.0f', redis.call('INCR', sequence_key))
  end)
  redis.call('HSET', config_key, field, numbered)
end

local function raise(key, field)
  redis.call('HSET', key, field, math.max(tonumber(redis.call('HGET', key, field) or 0) + 1, now))
end

for _, write in ipairs(change.writes) do
  local key = KEYS[tonumber(write[2])]
  if write[1] == 'carry_over' then
    carry_slot_over(key, unpack(write, 3))
  elseif write[1] == 'count' then
    count(key, write[3], write[4], write[5])
  elseif write[1] == 'uncount' then
    uncount(key, { unpack(write, 3) })
  elseif write[1] == 'number_entries' then
    number_entries(key, KEYS[tonumber(write[3])], write[4])
  elseif write[1] == 'raise' then
    raise(key, write[3])
  else
    redis.call(write[1], key, unpack(write, 3))
  end
end
return { 'committed' }
