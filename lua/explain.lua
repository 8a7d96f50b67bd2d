--[[
explain: what reserve would answer now, and what every limit says.

KEYS
  [1..]  versions hash and usage hashes of owners, named in the batch by their places
ARGV
  [1]    now_ms, '' = Redis clock
  [2..]  a batch as lua/README.md describes it. Numbers of a call: tokens, cost; texts: basis
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
--- @include "read_calls"
--- @include "read_versions"
--- @include "read_plan"
--- @include "decide"
--- @include "divide_estimate"
--- @include "pack_counters"
--- @include "list_holds"
local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV)

local function read_call(packed, basis)
  local plan, _, _, _, tokens, cost = struct.unpack('<i8i8i8i8i8i8', packed)
  return { plan = batch.plans[plan], estimates = { requests = 1, tokens = tokens, budget = cost }, basis = basis }
end

local calls = read_calls(batch, ARGV, 2, read_call)
local global_version, basis = read_versions(KEYS[batch.versions])
local owners = {}

local function answer(call)
  if call.basis ~= '' and call.basis ~= basis then
    return { 'stale' }
  end
  local plan = call.plan
  local counters = read_plan(plan, KEYS, owners, global_version, now)
  if not counters or plan.incomplete then
    return { 'stale' }
  end
  local verdict, violated, over = decide(plan, counters, call.estimates, now)
  local holds = list_holds(plan, counters, over)
  if verdict == 'granted' then
    local taken, reserved = divide_estimate(plan, counters, call.estimates)
    return { 'granted', violated, over, pack_counters(counters, taken), holds, reserved.tokens, reserved.budget }
  end
  return { verdict, violated, over, pack_counters(counters), holds }
end

local reply = { now }
for number, call in ipairs(calls) do
  reply[1 + number] = answer(call)
end
return reply
