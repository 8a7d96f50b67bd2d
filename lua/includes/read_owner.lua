--- @include "parse_list"
local VERSION, EARLIEST = 'v', 'e'

-- Reads one owner of a plan: its version, and the states (parse_list) that have the counters of its limits. It is kept in
-- `owners`: later calls of a batch see what earlier ones took, and what was read is not read again. `field` (or nil): the
-- holds that the call is about to change (hold_field), read along.
local function read_owner(owners, key, shape, place, field)
  local owner, fields, last_states = owners[key], shape.state_field, shape.last_state_of_owner
  local first, last = (last_states[place - 1] or 0) + 1, last_states[place]
  local stored = redis.call('HMGET', key, VERSION, EARLIEST, field or EARLIEST, unpack(fields, first, last))
  if not owner then
    local earliest = stored[2] and tonumber(stored[2]) or nil
    owner = {
      key = key,
      version = tonumber(stored[1] or 0),
      states = last >= first and { [fields[first]] = parse_list(stored[4]) } or {},
      holds = field and { [field] = parse_list(stored[3]) } or {},
      earliest = earliest,
      stored_earliest = earliest,
      seen_by = false,
      is_changed = false,
    }
    owners[key] = owner
  end
  local states = owner.states
  for number = first, last do
    local in_field = fields[number]
    states[in_field] = states[in_field] or parse_list(stored[4 + number - first])
  end
  return owner
end
