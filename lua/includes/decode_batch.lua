--- @include "unpack_integers"
local ARGUMENTS_OF_A_PLAN = 5

-- The batch as lua/README.md describes it: its plans as tables; `calls` is made by read_calls. Numbers come packed, because
-- reading them from JSON would cost as much as deciding.
local function decode_batch(args)
  local batch = cjson.decode(args[2])
  local plans, at = {}, 3
  for number = 1, batch.plans do
    local keys = unpack_integers(args[at + 1])
    local versions = unpack_integers(args[at + 2])
    local limits = batch.shapes[keys[1]]
    local expires_at = versions[3]
    plans[number] = {
      digest = args[at],
      limits = limits,
      key = keys[2],
      keys = keys,
      global_version = versions[1],
      blocked = versions[2] == 1,
      expires_at = expires_at > 0 and expires_at or nil,
      versions = versions,
      max = unpack_integers(args[at + 3]),
      text = args[at + 4],
      used = false,
      incomplete = false,
    }
    at = at + ARGUMENTS_OF_A_PLAN
  end
  batch.plans, batch.first_call = plans, at
  return batch
end
