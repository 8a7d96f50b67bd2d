--[[
explain: what reserve would answer now, and what every limit says.

KEYS
  [1..]  versions hash and usage hashes of owners, named in ARGV[2] by their places
ARGV
  [1]    now_ms, '' = Redis clock
  [2]    JSON {versions, plans, calls} as for reserve; call: {plan, tokens, cost, basis}
RETURNS
  {now_ms, answer, ...}    in the order of the calls; an answer is one of
  {'stale'}                the configuration is not the one of the plan, or of the basis
  {'granted', violated, over, counters, holds, reserved_tokens, reserved_cost}
  {'refused', violated, over, counters, holds}
  {'blocked', violated, over, counters, holds}
  {'expired', violated, over, counters, holds}
  where violated, over, counters and holds are those of reserve
WRITES
  nothing
]]
--- @include "resolve_now"
--- @include "decode_batch"
--- @include "read_versions"
--- @include "read_plan"
--- @include "decide"
--- @include "divide_estimate"
--- @include "pack_counters"
--- @include "list_holds"
local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV[2])
local global_version, basis = read_versions(KEYS[batch.versions])
local owners = {}

local function answer(call)
  if call.basis and call.basis ~= basis then
    return { 'stale' }
  end
  local plan = batch.plans[call.plan]
  local counters = read_plan(plan, KEYS, owners, global_version, now)
  if not counters or plan.incomplete then
    return { 'stale' }
  end
  local estimates = { requests = 1, tokens = call.tokens, budget = call.cost }
  local verdict, violated, over = decide(plan, counters, estimates, now)
  local holds = list_holds(plan, counters, over)
  if verdict == 'granted' then
    local taken, reserved = divide_estimate(plan, counters, estimates)
    return { 'granted', violated, over, pack_counters(counters, taken), holds, reserved.tokens, reserved.budget }
  end
  return { verdict, violated, over, pack_counters(counters, {}), holds }
end

local reply = { now }
for number, call in ipairs(batch.calls) do
  reply[1 + number] = answer(call)
end
return reply
