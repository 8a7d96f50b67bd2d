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
--- @include "read_versions"
--- @include "read_plan"
--- @include "decide"
--- @include "divide_estimate"
--- @include "pack_counters"
--- @include "list_holds"
--- @include "answer_calls"
local ARGUMENTS_OF_A_CALL = 2

local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV, now)
local global_version, basis_now = read_versions(KEYS[batch.versions])
local owners = {}

local function answer(at)
  local plan_number, _, _, _, tokens, cost = struct.unpack('<i8i8i8i8i8i8', ARGV[at])
  local plan, basis = batch.plans[plan_number], ARGV[at + 1]
  if basis ~= '' and basis ~= basis_now then
    return { 'stale' }
  end
  if not read_plan(plan, KEYS, owners, global_version, now) or plan.lacks then
    return { 'stale' }
  end
  local verdict, violated, over, all_fit = decide(plan, tokens, cost, now)
  local counters, holds = pack_counters(plan), list_holds(plan, over)
  if verdict == 'granted' then
    local reserved_tokens, reserved_cost = divide_estimate(plan, tokens, cost, all_fit)
    return { 'granted', violated, over, counters, holds, reserved_tokens, reserved_cost }
  end
  return { verdict, violated, over, counters, holds }
end

return answer_calls(batch, now, ARGUMENTS_OF_A_CALL, answer)
