--- @include "hold_for"
--- @include "add_hold"
--- @include "format_of"
local numbers = {}

-- Takes of each limit what an admitted request asks: counts it, and sets amounts aside until `boundary`, in `field`
-- (hold_field). The same as divide_estimate says; answers what stands aside of tokens and of money, and the counters
-- afterwards as pack_counters packs them, all in one pass.
local function take_estimate(plan, counters, estimates, field, boundary)
  local limits, maxima, owners = plan.limits, plan.max, plan.owners
  local mode, kinds, owner_of, slots = limits.mode, limits.kind, limits.owner, limits.slot
  local holds = mode ~= 'postpaid'
  local tokens, budget = holds and estimates.tokens or 0, holds and estimates.budget or 0
  local at = 0
  for number = 1, #kinds do
    local kind, counter, amount = kinds[number], counters[number], 1
    if kind == 'requests' then
      counter.usage = counter.usage + 1
      counter.counted = true
    else
      local max = maxima[number]
      amount = hold_for(max, counter, mode, estimates[kind])
      if amount > 0 then
        add_hold(owners[owner_of[number]], counter, slots[number], amount, field, boundary)
      end
      if max >= 0 then
        if kind == 'tokens' then
          tokens = amount < tokens and amount or tokens
        else
          budget = amount < budget and amount or budget
        end
      end
    end
    numbers[at + 1], numbers[at + 2], numbers[at + 3], numbers[at + 4] = counter.usage, counter.last_reset, counter.held, amount
    at = at + 4
  end
  for place = 1, #owners do
    owners[place].keep = true
  end
  return tokens, budget, struct.pack(format_of(at), unpack(numbers, 1, at))
end
