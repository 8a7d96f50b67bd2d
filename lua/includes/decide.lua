-- Shared by all calls, as most have nothing to put there.
local NONE = {}

-- In order of checks: limits before the gate, the key, the other limits. Answers 'granted', 'blocked', 'expired' or
-- 'refused', the numbers of the limits that refuse, and those of all that would; of who is granted also whether every limit
-- has the whole estimate left. What a limit admits: docs/enforcement.md; a maximum of -1: everything.
local function decide(plan, tokens, cost, now)
  local shape, numbers, states = plan.shape, plan.numbers, plan.states
  local gate, kinds, maxima, state_of, place_of = shape.gate, shape.kind, shape.maxima, shape.state, shape.place
  local counts_held, is_strict = shape.mode ~= 'postpaid', shape.mode == 'strict'
  -- What has to be left of a limit: all of the estimate, or just something. One request counts as soon as it is admitted.
  local estimates = { requests = 1, tokens = tokens, budget = cost }
  local before, over, all_fit = NONE, NONE, true
  for number = 1, #kinds do
    local max = numbers[maxima + number]
    if max >= 0 then
      local state, place = states[state_of[number]], place_of[number]
      local left = max - state[place]
      if counts_held then
        left = left - state[place + 2]
      end
      if left < estimates[kinds[number]] then
        all_fit = false
      end
      if left <= 0 or is_strict and left < estimates[kinds[number]] then
        over = over == NONE and {} or over
        over[#over + 1] = number
        if number <= gate then
          before = before == NONE and {} or before
          before[#before + 1] = number
        end
      end
    end
  end

  local expires_at = numbers[shape.expires_at]
  if before ~= NONE then
    return 'refused', before, over
  elseif expires_at > 0 and now >= expires_at then
    return 'expired', NONE, over
  elseif numbers[shape.blocked] == 1 then
    return 'blocked', NONE, over
  elseif over ~= NONE then
    return 'refused', over, over
  end
  return 'granted', NONE, NONE, all_fit
end
