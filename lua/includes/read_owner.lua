--- @include "new_counter"
--- @include "return_expired"
--- @include "current_window"
-- One owner of a plan as of now: its version, and the counters of its limits, windows that are over and holds that have run
-- out taken into account. It is read once per script and kept in `owners`: later calls of a batch see what earlier ones took.
local function read_owner(owners, key, limits, place, now)
  local owner, numbers = owners[key], limits.numbers[place]
  if owner and owner.read_for[numbers] then
    return owner
  end

  local stored, slots = redis.call('HMGET', key, unpack(limits.fields[place])), limits.slot
  if not owner then
    local earliest = stored[2] and tonumber(stored[2]) or nil
    owner = {
      key = key,
      version = tonumber(stored[1] or 0),
      earliest = earliest,
      stored_earliest = earliest,
      counters = {},
      holds = {},
      changed = {},
      keep = false,
      stored = false,
      read_for = {},
    }
    owners[key] = owner
  end
  owner.read_for[numbers] = true
  local counters, fields = owner.counters, limits.fields[place]
  for at = 1, #numbers do
    local slot, packed = slots[numbers[at]], stored[2 + at]
    if packed and not counters[slot] then
      counters[slot] = new_counter(fields[2 + at], packed)
    end
  end
  if owner.earliest and owner.earliest <= now then
    return_expired(owner, limits, numbers, now)
  end
  for at = 1, #numbers do
    local number = numbers[at]
    local counter = counters[slots[number]]
    if counter and counter.unseen then
      counter.unseen = false
      counter.usage, counter.last_reset =
        current_window(counter.usage, counter.last_reset, now, limits.length_ms[number], limits.align[number])
    end
  end
  return owner
end
