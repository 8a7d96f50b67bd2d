--[[
reserve: admit requests and take what they ask of every limit, or refuse them and take nothing.

A batch of calls, answered one by one in their order; a call sees what the calls before it took. What plans are is said in
lua/README.md.

KEYS
  [1..]  versions hash, usage hashes of owners, records and indexes of reservations, plans: named in the batch by their places
ARGV
  [1]    now_ms, '' = Redis clock
  [2..]  a batch as lua/README.md describes it
         numbers of a call: tokens, cost, lease_ms, granule_ms, charges; the lease ends at a multiple of granule_ms;
         charges: what an expired lease held is charged (1) or given back (0)
         texts: id, detail (kept for replays), fingerprint, basis, attempt
         basis: versions of the rules and prices that the caller went by, '' = whatever they are
         attempt: on a cluster, where a call is one of several (its plan a part of one), what withdraw names it by; else ''
RETURNS
  {now_ms, answer, ...}    in the order of the calls; an answer is one of
  {'granted', expires_at_ms, reserved_tokens, reserved_cost, counters}
  {'replayed', plan_digest, state, now_ms, expires_at_ms, reserved_tokens, reserved_cost, counters, detail}
                                   the first answer; state: open, settled or released by now
  {'conflict'}                     same id, another fingerprint
  {'stale'}                        the configuration is not the one of the plan, or of the basis
  {'refused', violated, over, counters, holds}    places of limits: those that refuse, all that would; see list_holds
  {'blocked', counters}            the limits before the gate pass, the plan is blocked
  {'expired', counters}            the same, the key has expired
  where counters are usage, last_reset, held, taken of each limit, packed (pack_counters)
WRITES
  only for calls that are granted, and for replays of attempts
]]
--- @include "resolve_now"
--- @include "decode_batch"
--- @include "read_calls"
--- @include "read_records"
--- @include "read_versions"
--- @include "read_plan"
--- @include "decide"
--- @include "divide_estimate"
--- @include "hold_field"
--- @include "add_hold"
--- @include "pack_counters"
--- @include "list_holds"
--- @include "write_owners"
--- @include "write_records"
--- @include "write_plans"
local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV)

local function read_call(packed, id, detail, fingerprint, basis, attempt)
  local plan, record, index, extra_ms, tokens, cost, lease_ms, granule_ms, charges =
    struct.unpack('<i8i8i8i8i8i8i8i8i8', packed)
  return {
    plan = batch.plans[plan],
    record = record,
    index = index,
    estimates = { requests = 1, tokens = tokens, budget = cost },
    lease_ms = lease_ms,
    granule_ms = granule_ms,
    fate = charges == 1 and 'c' or 'b',
    extra_ms = extra_ms,
    id = id,
    detail = detail,
    fingerprint = fingerprint,
    basis = basis,
    attempt = attempt,
  }
end

local calls = read_calls(batch, ARGV, 6, read_call)
local records = read_records(calls, KEYS)
local global_version, basis = read_versions(KEYS[batch.versions])
local owners = {}

-- Numbers of the limits whose windows this request begins.
local function windows_begun(plan, counters)
  local begun = {}
  for number, kind in ipairs(plan.limits.kind) do
    local counter = counters[number]
    if kind == 'requests' and counter.last_reset ~= counter.stored_reset and not counter.counted then
      begun[#begun + 1] = number
    end
  end
  return begun
end

local function take(call, plan, counters)
  local expires_at = math.ceil((now + call.lease_ms) / call.granule_ms) * call.granule_ms
  local begun = call.attempt ~= '' and windows_begun(plan, counters)
  local taken, reserved = divide_estimate(plan, counters, call.estimates)
  local field = hold_field(call.fate, expires_at)
  local owners, kinds, owner_of, slots = plan.owners, plan.limits.kind, plan.limits.owner, plan.limits.slot
  for number = 1, #kinds do
    local counter = counters[number]
    if kinds[number] == 'requests' then
      counter.usage = counter.usage + 1
      counter.counted = true
    elseif taken[number] > 0 then
      add_hold(owners[owner_of[number]], counter, slots[number], taken[number], field, expires_at)
    end
  end
  for _, owner in ipairs(owners) do
    owner.keep = true
  end
  local packed = pack_counters(counters, taken)
  plan.used = true
  records[call.record] = {
    fingerprint = call.fingerprint,
    digest = plan.digest,
    state = 'open',
    fate = call.fate,
    expires_at = expires_at,
    first = { now, expires_at, reserved.tokens, reserved.budget, packed, call.detail },
    settled = false,
    attempts = call.attempt,
    begun = begun,
    changed = call,
  }
  return { 'granted', expires_at, reserved.tokens, reserved.budget, packed }
end

local function answer(call)
  local record = records[call.record]
  if record then
    if record.fingerprint ~= call.fingerprint then
      return { 'conflict' }
    end
    if call.attempt ~= '' and record.state == 'open' then
      -- Whoever withdraws an earlier attempt must leave this one what it was told it has.
      record.attempts = record.attempts .. ' ' .. call.attempt
      record.changed = call
    end
    return { 'replayed', record.digest, record.state, unpack(record.first) }
  end
  if call.basis ~= '' and call.basis ~= basis then
    return { 'stale' }
  end
  local plan = call.plan
  local counters = read_plan(plan, KEYS, owners, global_version, now)
  if not counters or plan.incomplete then
    return { 'stale' }
  end
  local verdict, violated, over = decide(plan, counters, call.estimates, now)
  if verdict == 'granted' then
    return take(call, plan, counters)
  elseif verdict == 'refused' then
    return { 'refused', violated, over, pack_counters(counters), list_holds(plan, counters, over) }
  end
  return { verdict, pack_counters(counters) }
end

local reply = { now }
for number, call in ipairs(calls) do
  reply[1 + number] = answer(call)
end

write_owners(owners)
write_records(records, KEYS, now, batch.retention_ms, batch.index_ttl_ms)
write_plans(batch.plans, KEYS, batch.plan_ttl_ms)
return reply
