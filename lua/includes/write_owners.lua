--- @include "format_holds"
-- Writes what changed of the owners marked `keep`, one HSET each. Never brings back a hash or a counter that was deleted:
-- what read_owner did not find has no state to write.
local function write_owners(owners)
  for _, owner in pairs(owners) do
    if owner.keep then
      local set, gone = {}, {}
      for slot, counter in pairs(owner.counters) do
        local usage = counter.counted and counter or counter.charged
        local at = #set
        if usage then
          set[at + 1], set[at + 2] = 'u' .. slot, usage.usage
          set[at + 3], set[at + 4] = 'r' .. slot, usage.last_reset
          at = at + 4
        end
        if counter.holding then
          set[at + 1], set[at + 2] = 'h' .. slot, counter.held
        end
      end
      for field in pairs(owner.changed) do
        local text = format_holds(owner.holds[field])
        if text == '' then
          gone[#gone + 1] = field
        else
          local at = #set
          set[at + 1], set[at + 2] = field, text
        end
      end
      if owner.earliest ~= owner.stored_earliest then
        if owner.earliest then
          local at = #set
          set[at + 1], set[at + 2] = 'e', owner.earliest
        else
          gone[#gone + 1] = 'e'
        end
      end
      if #set > 0 then
        redis.call('HSET', owner.key, unpack(set))
      end
      if #gone > 0 then
        redis.call('HDEL', owner.key, unpack(gone))
      end
    end
  end
end
