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
         unreserved 1: the plan is what to charge when nobody reserved this id (as post-paid usage), or, for a part of a
         whole (no index), by this plan
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
  where counters are usage, last_reset, held of each limit, packed (pack_counters)
WRITES
  only for calls that are settled
]]
--- @include "resolve_now"
--- @include "decode_batch"
--- @include "record_fields"
--- @include "first_answer_fields"
--- @include "read_records"
--- @include "read_versions"
--- @include "read_plan"
--- @include "hold_field"
--- @include "return_taken"
--- @include "charge"
--- @include "mark_owners"
--- @include "pack_counters"
--- @include "answer_calls"
--- @include "write_owners"
--- @include "write_records"
--- @include "write_plans"
local ARGUMENTS_OF_A_CALL = 4

local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV, now)
local records, changed = read_records(batch.records, KEYS), {}
local global_version, basis_now = read_versions(KEYS[batch.versions])
local owners = {}

-- `field`: where its holds are; `used`: by kind of limit.
local function charge_all(record, plan, field, used, success)
  local is_open, shape, states = record[STATE] == 'open', plan.shape, plan.states
  local kinds, state_of, place_of = shape.kind, shape.state, shape.place
  local charged = is_open and return_taken(record, plan, field, success) or {}
  -- Counted when it was admitted, unless that was taken back or never happened.
  used.requests = success and not is_open and 1 or 0
  for number = 1, #kinds do
    local state, place = states[state_of[number]], place_of[number]
    local amount = used[kinds[number]] - (charged[number] or 0)
    if amount > 0 and state[place + 1] >= 0 then
      charge(state, place, amount)
    end
  end
  mark_owners(plan)
  plan.lease_ms = math.max(plan.lease_ms, 0)
end

local function answer(at)
  local plan_number, place, index, extra_ms, tokens, cost, success, unreserved =
    struct.unpack('<i8i8i8i8i8i8i8i8', ARGV[at])
  local id, detail, basis = unpack(ARGV, at + 1, at + ARGUMENTS_OF_A_CALL - 1)
  local record, plan = records[place], batch.plans[plan_number]
  if record and record[STATE] == 'open' and index == 0 and unreserved == 1 and plan.digest ~= record[DIGEST] then
    -- On a cluster the whole was decided before its parts: an attempt by another plan left this. It runs out with its lease.
    record = nil
  end
  if record and record[STATE] == 'settled' then
    return { 'replayed', record[DIGEST], unpack(record[SETTLED]) }
  elseif not record and not (plan and unreserved == 1) then
    return { 'unknown' }
  elseif record and (not plan or plan.digest ~= record[DIGEST]) then
    return { 'elsewhere', record[DIGEST] }
  elseif basis ~= '' and basis ~= basis_now then
    return { 'outdated' }
  end
  record = record or { '', plan.digest, 'none', 'b', now, {}, false, '', false }
  local field = hold_field(record[FATE], record[EXPIRES_AT])
  if not read_plan(plan, KEYS, owners, global_version, now, field) then
    return { 'stale' }
  end

  local overrun_tokens, overrun_cost = 0, 0
  if record[STATE] == 'open' and plan.shape.mode ~= 'postpaid' then
    overrun_tokens = math.max(0, tokens - record[FIRST][RESERVED_TOKENS])
    overrun_cost = math.max(0, cost - record[FIRST][RESERVED_COST])
  end
  charge_all(record, plan, field, { tokens = tokens, budget = cost }, success == 1)
  local settled = { now, tokens, cost, overrun_tokens, overrun_cost, pack_counters(plan), detail }
  record[STATE], record[SETTLED] = 'settled', settled
  records[place] = record
  changed[place] = { index, id, extra_ms }
  return { 'settled', record[DIGEST], unpack(settled) }
end

local reply = answer_calls(batch, now, ARGUMENTS_OF_A_CALL, answer)
write_owners(owners)
write_records(records, changed, KEYS, now, batch.retention_ms, batch.index_ttl_ms)
write_plans(batch.plans, KEYS, batch.plan_ttl_ms)
return reply
