--[[
settle: charge what requests really used, give back what was held for them.

Charged in full, whatever was held and whether the lease still runs, into the windows that are current now. A batch of
calls, answered in their order.

KEYS
  [1..]  versions hash, usage hashes of owners, records and indexes of reservations, plans: named in the batch by their places
ARGV
  [1]    now_ms, '' = Redis clock
  [2..]  a batch as lua/README.md describes it; a plan may be missing
         numbers of a call: tokens, cost, success, unreserved
         unreserved 1: the plan is what to charge when nobody reserved this id (as post-paid usage)
         texts: id, detail (kept for replays), basis
         basis: versions of the rules and prices that the cost follows from, '' = whatever they are
RETURNS
  {now_ms, answer, ...}    in the order of the calls; an answer is one of
  {'settled', plan_digest, now_ms, tokens, cost, overrun_tokens, overrun_cost, counters, detail}
  {'replayed', plan_digest, now_ms, tokens, cost, overrun_tokens, overrun_cost, counters, detail}    of the first answer
  {'unknown'}                   no such reservation, and no plan to charge
  {'elsewhere', plan_digest}    made by this plan: call again with it
  {'outdated'}                  the cost follows from prices that are not in force any more
  {'stale'}                     the configuration is not the one of the plan
  where counters are usage, last_reset, held, taken of each limit, packed (pack_counters)
WRITES
  only for calls that are settled
]]
--- @include "resolve_now"
--- @include "decode_batch"
--- @include "read_calls"
--- @include "read_records"
--- @include "read_versions"
--- @include "read_plan"
--- @include "hold_field"
--- @include "unpack_integers"
--- @include "return_taken"
--- @include "charge"
--- @include "pack_counters"
--- @include "write_owners"
--- @include "write_records"
--- @include "write_plans"
local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV)

local function read_call(packed, id, detail, basis)
  local plan, record, index, extra_ms, tokens, cost, success, unreserved = struct.unpack('<i8i8i8i8i8i8i8i8', packed)
  return {
    plan = batch.plans[plan],
    record = record,
    index = index,
    used = { tokens = tokens, budget = cost },
    success = success == 1,
    unreserved = unreserved == 1,
    extra_ms = extra_ms,
    id = id,
    detail = detail,
    basis = basis,
  }
end

local calls = read_calls(batch, ARGV, 4, read_call)
local records = read_records(calls, KEYS)
local global_version, basis = read_versions(KEYS[batch.versions])
local owners = {}

local function settle(call, record, plan, counters)
  local used = call.used
  local is_open = record.state == 'open'
  local first = is_open and unpack_integers(record.first[5])
  local field = hold_field(record.fate, record.expires_at)
  local kinds = plan.limits.kind
  for number = 1, #kinds do
    local kind, counter = kinds[number], counters[number]
    local charged = is_open and return_taken(record, plan, counters, number, first, field, call.success) or 0
    if counter and kind == 'requests' then
      -- Counted when it was admitted, unless that was taken back or never happened.
      charge(counter, call.success and not is_open and 1 or 0)
    elseif counter then
      charge(counter, used[kind] > charged and used[kind] - charged or 0)
    end
  end
  for _, owner in ipairs(plan.owners) do
    owner.keep = true
  end
  plan.used = true
  local overrun_tokens, overrun_cost = 0, 0
  if is_open and plan.limits.mode ~= 'postpaid' then
    overrun_tokens = math.max(0, used.tokens - record.first[3])
    overrun_cost = math.max(0, used.budget - record.first[4])
  end
  record.state = 'settled'
  record.settled = { now, used.tokens, used.budget, overrun_tokens, overrun_cost, pack_counters(counters), call.detail }
  record.changed = call
  records[call.record] = record
  return { 'settled', record.digest, unpack(record.settled) }
end

local function answer(call)
  local record, plan = records[call.record], call.plan
  if record and record.state == 'settled' then
    return { 'replayed', record.digest, unpack(record.settled) }
  elseif not record and not (plan and call.unreserved) then
    return { 'unknown' }
  elseif record and (not plan or plan.digest ~= record.digest) then
    return { 'elsewhere', record.digest }
  elseif call.basis ~= '' and call.basis ~= basis then
    return { 'outdated' }
  end
  local counters = read_plan(plan, KEYS, owners, global_version, now)
  if not counters then
    return { 'stale' }
  end
  record = record
    or { fingerprint = '', digest = plan.digest, state = 'none', fate = 'b', expires_at = now, first = {}, attempts = '' }
  return settle(call, record, plan, counters)
end

local reply = { now }
for number, call in ipairs(calls) do
  reply[1 + number] = answer(call)
end

write_owners(owners)
write_records(records, KEYS, now, batch.retention_ms, batch.index_ttl_ms)
write_plans(batch.plans, KEYS, batch.plan_ttl_ms)
return reply
