--- @include "decode_shape"
--- @include "unpack_integers"
local ARGUMENTS_OF_A_PLAN = 3

-- The batch as lua/README.md describes it: its plans as tables, and where the arguments of its first call begin.
local function decode_batch(args, now)
  local versions, retention_ms, index_ttl_ms, plan_ttl_ms, shape_count, plan_count, call_count =
    struct.unpack('<i8i8i8i8i8i8i8', args[2])
  local shapes, plans, at = {}, {}, 3
  for number = 1, shape_count do
    at = at + 1
    shapes[number] = decode_shape(args[at], now)
  end
  at = at + 1
  for number = 1, plan_count do
    local numbers = unpack_integers(args[at + 1])
    plans[number] = {
      digest = args[at],
      shape = shapes[numbers[1]],
      numbers = numbers,
      text = args[at + 2],
      lease_ms = -1,
    }
    at = at + ARGUMENTS_OF_A_PLAN
  end
  return {
    versions = versions,
    retention_ms = retention_ms,
    index_ttl_ms = index_ttl_ms,
    plan_ttl_ms = plan_ttl_ms,
    records = args[3],
    plans = plans,
    calls = call_count,
    first_call = at,
  }
end
