--- @include "format_of"
--- @include "period_start"
--- @include "state_name"
-- As service/store/packed_plan.py counts them, a letter by its code.
local MODES = { [1] = 'postpaid', [2] = 'clamp', [3] = 'strict' }
local KINDS = { [1] = 'requests', [2] = 'tokens', [3] = 'budget' }
local ALIGNS = { [0] = '', [100] = 'd', [119] = 'w', [77] = 'M', [89] = 'Y' }

-- What is the same for many plans, as lua/README.md describes it. Limits and states as columns: `state` and `place` say where
-- the counter of a limit is, `since` when a window began at the earliest that is not over now, `hold_at` where its holds were
-- last. The limits of an owner are those of `by_owner` that end at `last_of_owner`, its states end at `last_state_of_owner`.
-- And at which place the numbers of a plan have what: `plan_key` where the plan itself is saved (0: it is not); `keys` and
-- `versions` are the places before the first owner's, `maxima` is that before the first limit's.
local function decode_shape(packed, now)
  local mode, gate, owners, count, states, at = struct.unpack('<i8i8i8i8i8', packed, 1)
  local function column(length)
    local numbers = { struct.unpack(format_of(length), packed, at) }
    -- The last value is where reading ended.
    at, numbers[length + 1] = numbers[length + 1], nil
    return numbers
  end
  local owner = column(count)
  local slot = column(count)
  local kind = column(count)
  local length_ms = column(count)
  local align = column(count)
  local state = column(count)
  local place = column(count)
  local hold_at = column(count)
  local by_owner = column(count)
  local last_of_owner = column(owners)
  local state_owner = column(states)
  local state_field = column(states)
  local last_state_of_owner = column(owners)

  -- A list that grows is made anew at each power of two: this one begins with as many numbers as it will have.
  local since = { unpack(length_ms) }
  for number = 1, count do
    kind[number], align[number] = KINDS[kind[number]], ALIGNS[align[number]]
    local start = align[number] == '' and now - length_ms[number] + 1 or period_start(align[number], now)
    since[number] = start > 0 and start or 0
  end
  for number = 1, states do
    state_field[number] = state_name(state_field[number])
  end
  return {
    mode = MODES[mode],
    gate = gate,
    owners = owners,
    owner = owner,
    slot = slot,
    kind = kind,
    length_ms = length_ms,
    align = align,
    state = state,
    place = place,
    since = since,
    hold_at = hold_at,
    by_owner = by_owner,
    last_of_owner = last_of_owner,
    state_owner = state_owner,
    state_field = state_field,
    last_state_of_owner = last_state_of_owner,
    plan_key = 2,
    keys = 2,
    global_version = 2 + owners + 1,
    blocked = 2 + owners + 2,
    expires_at = 2 + owners + 3,
    versions = 2 + owners + 3,
    maxima = 2 + owners + 3 + owners,
  }
end
