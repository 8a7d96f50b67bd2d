--- @include "unpack_counter"
-- A counter as stored (packed: usage, last_reset, held); `unseen` until somebody has looked whether its window is over.
-- `field` is its name in the usage hash; what is stored stays at hand, because a hold alone begins no window.
local function new_counter(field, packed)
  local usage, last_reset, held = unpack_counter(packed)
  return {
    field = field,
    usage = usage,
    last_reset = last_reset,
    held = held,
    stored_usage = usage,
    stored_reset = last_reset,
    unseen = true,
    counted = false,
    holding = false,
  }
end
