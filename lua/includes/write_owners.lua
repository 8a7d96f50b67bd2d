--- @include "format_holds"
-- Writes what changed of the owners marked `keep`, one HSET each. Never brings back a hash or a counter that was deleted:
-- what read_owner did not find has no state to write.
local function write_owners(owners)
  for _, owner in pairs(owners) do
    if owner.keep then
      local set, gone = {}, {}
      local function put(field, value)
        set[#set + 1], set[#set + 2] = field, value
      end
      for slot, counter in pairs(owner.counters) do
        local usage = counter.counted and counter or counter.charged
        if usage then
          put('u' .. slot, usage.usage)
          put('r' .. slot, usage.last_reset)
        end
        if counter.holding then
          put('h' .. slot, counter.held)
        end
      end
      for field in pairs(owner.changed) do
        local text = format_holds(owner.holds[field])
        if text == '' then
          gone[#gone + 1] = field
        else
          put(field, text)
        end
      end
      if owner.earliest ~= owner.stored_earliest then
        if owner.earliest then
          put('e', owner.earliest)
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
