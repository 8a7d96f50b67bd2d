--- @include "parse_list"
-- Reads one owner of a plan: its version, and the states (parse_list) that have the counters of its limits. It is kept in
-- `owners`: later calls of a batch see what earlier ones took, and what was read is not read again. `field` (or nil): the
-- holds that the call is about to change (hold_field), read along.
local function read_owner(owners, key, limits, place, field)
  local fields, owner = limits.fields[place], owners[key]
  fields[3] = field or fields[3]
  local stored = redis.call('HMGET', key, unpack(fields))
  if not owner then
    local earliest = stored[2] and tonumber(stored[2]) or nil
    owner = {
      key = key,
      version = tonumber(stored[1] or 0),
      states = fields[4] and { [fields[4]] = parse_list(stored[4]) } or {},
      holds = field and { [field] = parse_list(stored[3]) } or {},
      earliest = earliest,
      stored_earliest = earliest,
      seen_by = false,
      keep = false,
    }
    owners[key] = owner
  end
  local states = owner.states
  for at = 4, #fields do
    local in_field = fields[at]
    states[in_field] = states[in_field] or parse_list(stored[at])
  end
  return owner
end
