--[[
reserve: admit requests and take what they ask of every limit, or refuse them and take nothing.

A batch of calls, answered one by one in their order; a call sees what the calls before it took. What plans are is said in
lua/README.md.

KEYS
  [1..]  versions hash, usage hashes of owners, records and indexes of reservations, plans: named in ARGV[2] by their places
ARGV
  [1]    now_ms, '' = Redis clock
  [2]    JSON {versions: place of the versions hash or 0, retention_ms, index_ttl_ms, plan_ttl_ms, plans: [plan, ...],
         calls: [call, ...]}
         call: {plan: place in plans, record, index: places in KEYS, id, fingerprint, tokens, cost, lease_ms, granule_ms, fate,
         basis, attempt, extra_ms}; the lease ends at a multiple of granule_ms;
         fate: what an expired lease does, b = give back, c = charge;
         basis: versions of the rules and prices that the caller went by, none = whatever they are;
         on a cluster only, where a call is one of several (its plan a part of one): attempt, what withdraw names it by,
         and extra_ms, how much longer its record lives than retention_ms
  [3..]  detail of each call, kept for replays; then the texts of plans that are to be saved
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
local batch = decode_batch(ARGV[2])
assert(#ARGV >= 2 + #batch.calls, 'reserve: one detail for each call')

local records = read_records(batch.calls, KEYS)
local global_version, basis = read_versions(KEYS[batch.versions])
local owners = {}

local function take(call, plan, counters, estimates, detail)
  local expires_at = math.ceil((now + call.lease_ms) / call.granule_ms) * call.granule_ms
  local taken, reserved = divide_estimate(plan, counters, estimates)
  local field = hold_field(call.fate, expires_at)
  local begun = {}
  for number, kind in ipairs(plan.limits.kind) do
    local counter = counters[number]
    if kind == 'requests' then
      if counter.is_over and not counter.counted then
        begun[#begun + 1] = number
      end
      counter.usage = counter.usage + 1
      counter.counted = true
    elseif taken[number] > 0 then
      add_hold(plan.owners[plan.limits.owner[number]], counter, plan.limits.slot[number], taken[number], field, expires_at)
    end
  end
  for _, owner in ipairs(plan.owners) do
    owner.keep = true
  end
  plan.used = true
  local first = { now, expires_at, reserved.tokens, reserved.budget, pack_counters(counters, taken), detail }
  records[call.record] = {
    fingerprint = call.fingerprint,
    digest = plan.digest,
    state = 'open',
    fate = call.fate,
    expires_at = expires_at,
    first = first,
    settled = false,
    attempts = call.attempt or '',
    begun = call.attempt and begun or false,
    changed = call,
  }
  return { 'granted', expires_at, reserved.tokens, reserved.budget, first[5] }
end

local function answer(call, detail)
  local record = records[call.record]
  if record then
    if record.fingerprint ~= call.fingerprint then
      return { 'conflict' }
    end
    if call.attempt and record.state == 'open' then
      -- Whoever withdraws an earlier attempt must leave this one what it was told it has.
      record.attempts = record.attempts .. ' ' .. call.attempt
      record.changed = call
    end
    return { 'replayed', record.digest, record.state, unpack(record.first) }
  end
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
  if verdict == 'granted' then
    return take(call, plan, counters, estimates, detail)
  elseif verdict == 'refused' then
    return { 'refused', violated, over, pack_counters(counters, {}), list_holds(plan, counters, over) }
  end
  return { verdict, pack_counters(counters, {}) }
end

local reply = { now }
for number, call in ipairs(batch.calls) do
  reply[1 + number] = answer(call, ARGV[2 + number])
end

write_owners(owners)
write_records(records, KEYS, now, batch.retention_ms, batch.index_ttl_ms)
write_plans(batch.plans, KEYS, ARGV, batch.plan_ttl_ms)
return reply
