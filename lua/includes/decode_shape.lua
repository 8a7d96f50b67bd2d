--- @include "locate_counter"
--- @include "period_start"
--- @include "runs_of"
--- @include "unpack_integers"
local MODES = { [1] = 'postpaid', [2] = 'clamp', [3] = 'strict' }
local KINDS = { [1] = 'requests', [2] = 'tokens', [3] = 'budget' }
local VERSION, EARLIEST = 'v', 'e'
local NUMBERS_BEFORE, NUMBERS_OF_A_LIMIT = 4, 5

-- What is the same for many plans, as lua/README.md describes it. Limits as columns: `state` and `place` say where the counter
-- is, `since` when a window began at the earliest that is not over now, `hold_at` where the holds of the limit were last,
-- `of_owner` the limits of each owner.
-- And where the numbers of a plan have what: `keys` and `versions` are the places before the first owner's, `maxima` that
-- before the first limit's.
local function decode_shape(packed, now)
  local numbers = unpack_integers(packed)
  local owners = numbers[3]
  local limits = {
    mode = MODES[numbers[1]],
    gate = numbers[2],
    owner = {},
    slot = {},
    kind = {},
    length_ms = {},
    align = {},
    since = {},
    of_owner = {},
    hold_at = {},
    state = {},
    place = {},
    state_owner = {},
    state_field = {},
    fields = {},
    keys = 2,
    global_version = 2 + owners + 1,
    blocked = 2 + owners + 2,
    expires_at = 2 + owners + 3,
    versions = 2 + owners + 3,
    maxima = 2 + owners + 3 + owners,
  }
  for owner = 1, owners do
    -- The third is that of the holds of a call: read_owner says which.
    limits.fields[owner] = { VERSION, EARLIEST, EARLIEST }
    limits.of_owner[owner] = {}
  end
  for number = 1, numbers[4] do
    local at = NUMBERS_BEFORE + NUMBERS_OF_A_LIMIT * (number - 1)
    local owner, slot, kind, length_ms, align = unpack(numbers, at + 1, at + NUMBERS_OF_A_LIMIT)
    align = align > 0 and string.char(align) or ''
    limits.owner[number], limits.slot[number], limits.kind[number] = owner, slot, KINDS[kind]
    limits.length_ms[number], limits.align[number] = length_ms, align
    limits.since[number] = math.max(0, align == '' and now - length_ms + 1 or period_start(align, now))
    limits.state[number], limits.place[number] = locate_counter(limits, owner, slot)
    table.insert(limits.of_owner[owner], number)
  end
  limits.runs = runs_of(limits)
  return limits
end
