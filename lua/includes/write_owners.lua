--- @include "format_holds"
--- @include "pack_counter"
-- Writes what changed of the owners marked `keep`, one HSET each. Never brings back a hash or a counter that was deleted:
-- what read_owner did not find has no state to write.
local function write_owners(owners)
  for _, owner in pairs(owners) do
    if owner.keep then
      local set, at, gone = {}, 0, {}
      for _, counter in pairs(owner.counters) do
        if counter.counted or counter.holding then
          -- Only a change of usage begins another window; that of an expired hold was then, and may be over by now.
          local usage, last_reset = counter.usage, counter.last_reset
          if not counter.counted then
            usage, last_reset = counter.stored_usage, counter.stored_reset
          end
          set[at + 1], set[at + 2] = counter.field, pack_counter(usage, last_reset, counter.held)
          at = at + 2
        end
      end
      for field in pairs(owner.changed) do
        local packed = format_holds(owner.holds[field])
        if packed then
          set[at + 1], set[at + 2] = field, packed
          at = at + 2
        else
          gone[#gone + 1] = field
        end
      end
      if owner.earliest ~= owner.stored_earliest then
        if owner.earliest then
          set[at + 1], set[at + 2] = 'e', owner.earliest
          at = at + 2
        else
          gone[#gone + 1] = 'e'
        end
      end
      if at > 0 then
        redis.call('HSET', owner.key, unpack(set))
      end
      if #gone > 0 then
        redis.call('HDEL', owner.key, unpack(gone))
      end
    end
  end
end
