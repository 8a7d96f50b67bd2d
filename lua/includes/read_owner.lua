--- @include "return_expired"
--- @include "current_window"
-- One owner as of now: its version, and the counters that a plan names, windows that are over and holds that have run
-- out taken into account. It is read once per script and kept in `owners`: later calls of a batch see what earlier ones took.
local function read_owner(owners, key, planned, limits, now)
  local owner = owners[key]
  if not owner then
    owner = { key = key, counters = {}, holds = {}, changed = {} }
    owners[key] = owner
  end
  local new, by_slot = {}, {}
  for place, number in ipairs(planned.limits) do
    local limit = limits[number]
    by_slot[limit.slot] = limit
    local counter = owner.counters[limit.slot]
    if not counter or counter.unseen then
      new[place] = limit
    end
  end
  if owner.version and not next(new) then
    return owner
  end

  -- v, e, then u, r, h of each limit.
  local stored = redis.call('HMGET', key, unpack(planned.fields))
  if not owner.version then
    owner.version = tonumber(stored[1] or 0)
    owner.earliest = tonumber(stored[2] or '')
    owner.stored_earliest = owner.earliest
  end
  for place, limit in pairs(new) do
    local usage, last_reset, held = stored[3 * place], stored[3 * place + 1], stored[3 * place + 2]
    if usage and not owner.counters[limit.slot] then
      owner.counters[limit.slot] =
        { usage = tonumber(usage), last_reset = tonumber(last_reset), held = tonumber(held or 0), unseen = true }
    end
  end
  if owner.earliest and owner.earliest <= now then
    return_expired(owner, by_slot, now)
  end
  for _, limit in pairs(new) do
    local counter = owner.counters[limit.slot]
    if counter then
      local usage, last_reset = current_window(counter.usage, counter.last_reset, now, limit.length_ms, limit.align)
      counter.is_over = last_reset ~= counter.last_reset
      counter.usage, counter.last_reset, counter.unseen = usage, last_reset, nil
    end
  end
  return owner
end
