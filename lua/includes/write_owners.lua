--- @include "format_holds"
--- @include "format_state"
--- @include "text_of"
-- One table for all owners: each new one would have to grow again.
local set = {}

-- Writes what changed of the owners that mark_owners has marked, one HSET each. Never brings back a hash or a counter that was
-- deleted: what read_owner did not find has no state to write.
local function write_owners(owners)
  for key, owner in pairs(owners) do
    if owner.is_changed then
      local at, gone = 0, nil
      for field, state in pairs(owner.states) do
        if state[1] then
          set[at + 1], set[at + 2] = field, format_state(state)
          at = at + 2
        end
      end
      for field, holds in pairs(owner.holds) do
        if holds[1] then
          local packed = format_holds(holds)
          if packed then
            set[at + 1], set[at + 2] = field, packed
            at = at + 2
          else
            gone = gone or {}
            gone[#gone + 1] = field
          end
        end
      end
      if owner.earliest ~= owner.stored_earliest then
        if owner.earliest then
          set[at + 1], set[at + 2] = 'e', text_of(owner.earliest)
          at = at + 2
        else
          gone = gone or {}
          gone[#gone + 1] = 'e'
        end
      end
      if at > 0 then
        redis.call('HSET', key, unpack(set, 1, at))
      end
      if gone then
        redis.call('HDEL', key, unpack(gone))
      end
    end
  end
end
