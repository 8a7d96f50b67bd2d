--- @include "return_expired"
--- @include "current_window"
-- One owner as of now: its version, and the counters that a plan names, windows that are over and holds that have run
-- out taken into account. It is read once per script and kept in `owners`: later calls of a batch see what earlier ones took.
local function read_owner(owners, key, planned, limits, now)
  local owner = owners[key]
  local is_read = owner ~= nil
  if not owner then
    owner = { key = key, counters = {}, holds = {}, changed = {} }
    owners[key] = owner
  end
  for _, number in ipairs(planned.limits) do
    local counter = owner.counters[limits[number].slot]
    is_read = is_read and counter and not counter.unseen
  end
  if is_read then
    return owner
  end

  local fields, by_slot = {}, {}
  fields[1], fields[2] = 'v', 'e'
  for place, number in ipairs(planned.limits) do
    local slot = limits[number].slot
    by_slot[slot] = limits[number]
    fields[3 * place], fields[3 * place + 1], fields[3 * place + 2] = 'u' .. slot, 'r' .. slot, 'h' .. slot
  end
  local stored = redis.call('HMGET', key, unpack(fields))
  if not owner.version then
    owner.version = tonumber(stored[1] or 0)
    owner.earliest = tonumber(stored[2] or '')
    owner.stored_earliest = owner.earliest
  end
  for place, number in ipairs(planned.limits) do
    local slot, usage = limits[number].slot, stored[3 * place]
    if usage and not owner.counters[slot] then
      owner.counters[slot] = {
        usage = tonumber(usage),
        last_reset = tonumber(stored[3 * place + 1]),
        held = tonumber(stored[3 * place + 2] or 0),
        unseen = true,
      }
    end
  end
  if owner.earliest and owner.earliest <= now then
    return_expired(owner, by_slot, now)
  end
  for slot, limit in pairs(by_slot) do
    local counter = owner.counters[slot]
    if counter and counter.unseen then
      local usage, last_reset = current_window(counter.usage, counter.last_reset, now, limit.length_ms, limit.align)
      counter.is_over = last_reset ~= counter.last_reset
      counter.usage, counter.last_reset, counter.unseen = usage, last_reset, nil
    end
  end
  return owner
end
