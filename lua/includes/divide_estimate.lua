-- What is set aside for an admitted request: altogether (the smallest hold of each kind, nothing where it is post-paid), and
-- what it takes of each limit, by number, where some limit has less left than the estimate (clamp; else nil: see read_taken).
local function divide_estimate(plan, tokens, cost, all_fit)
  local shape, numbers, states = plan.shape, plan.numbers, plan.states
  if shape.mode == 'postpaid' then
    return 0, 0, nil
  elseif all_fit then
    return tokens, cost, nil
  end
  local taken, smallest = {}, { requests = 1, tokens = tokens, budget = cost }
  local estimates = { requests = 1, tokens = tokens, budget = cost }
  for number, kind in ipairs(shape.kind) do
    local max, state, place = numbers[shape.maxima + number], states[shape.state[number]], shape.place[number]
    if max >= 0 then
      taken[number] = math.min(max - state[place] - state[place + 2], estimates[kind])
      smallest[kind] = math.min(smallest[kind], taken[number])
    else
      taken[number] = kind == 'requests' and 1 or 0
    end
  end
  return smallest.tokens, smallest.budget, taken
end
