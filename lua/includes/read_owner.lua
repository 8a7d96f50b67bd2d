--- @include "return_expired"
--- @include "current_window"
-- One owner of a plan as of now: its version, and the counters of its limits, windows that are over and holds that have run
-- out taken into account. It is read once per script and kept in `owners`: later calls of a batch see what earlier ones took.
local function read_owner(owners, key, limits, place, now)
  local owner = owners[key]
  local numbers, slots = limits.numbers[place], limits.slot
  local is_read = owner ~= nil
  if not owner then
    owner = { key = key, counters = {}, holds = {}, changed = {} }
    owners[key] = owner
  end
  local counters = owner.counters
  for _, number in ipairs(numbers) do
    local counter = counters[slots[number]]
    is_read = is_read and counter and not counter.unseen
  end
  if is_read then
    return owner
  end

  local stored = redis.call('HMGET', key, unpack(limits.fields[place]))
  if not owner.version then
    owner.version = tonumber(stored[1] or 0)
    owner.earliest = tonumber(stored[2] or '')
    owner.stored_earliest = owner.earliest
  end
  for at, number in ipairs(numbers) do
    local slot, usage = slots[number], stored[3 * at]
    if usage and not counters[slot] then
      counters[slot] = {
        usage = tonumber(usage),
        last_reset = tonumber(stored[3 * at + 1]),
        held = tonumber(stored[3 * at + 2] or 0),
        unseen = true,
      }
    end
  end
  if owner.earliest and owner.earliest <= now then
    return_expired(owner, limits, numbers, now)
  end
  for _, number in ipairs(numbers) do
    local counter = counters[slots[number]]
    if counter and counter.unseen then
      local last_reset = counter.last_reset
      counter.usage, counter.last_reset =
        current_window(counter.usage, last_reset, now, limits.length_ms[number], limits.align[number])
      counter.is_over = counter.last_reset ~= last_reset
      counter.unseen = nil
    end
  end
  return owner
end
