--- @include "read_all_holds"
--- @include "current_window"
--- @include "new_counter"
-- Returns the holds of an owner that have run out, in the order in which they did: b holds are given back, c holds are
-- charged into the window of that moment. `numbers` are those of the owner's limits in the plan, whose windows are
-- known: a c hold on any other counter waits for a call that knows it. Changes owner only; write_owners decides whether Redis
-- follows.
local function return_expired(owner, limits, numbers, now)
  read_all_holds(owner)
  local number_of = {}
  for _, number in ipairs(numbers) do
    number_of[limits.slot[number]] = number
  end
  local expired = {}
  for field in pairs(owner.holds) do
    if tonumber(string.sub(field, 2)) <= now then
      expired[#expired + 1] = field
    end
  end
  table.sort(expired, function(one, other)
    return tonumber(string.sub(one, 2)) < tonumber(string.sub(other, 2))
  end)

  for _, field in ipairs(expired) do
    local charged, boundary = string.sub(field, 1, 1) == 'c', tonumber(string.sub(field, 2))
    local holds = owner.holds[field]
    for slot, amount in pairs(holds) do
      local counter, number = owner.counters[slot], number_of[slot]
      if not counter then
        local name = string.format('%.0f', slot)
        counter = owner.stored[name] and new_counter(name, owner.stored[name])
        owner.counters[slot] = counter or nil
      end
      if not counter then
        -- The limit was removed meanwhile.
        holds[slot] = nil
      elseif not charged or number then
        if charged then
          local usage, last_reset =
            current_window(counter.usage, counter.last_reset, boundary, limits.length_ms[number], limits.align[number])
          counter.usage, counter.last_reset = usage + amount, last_reset
          -- As it stood then: the window may be over by now, and only a change of usage begins another.
          counter.stored_usage, counter.stored_reset = counter.usage, last_reset
        end
        counter.held = counter.held - amount
        counter.holding = true
        holds[slot] = nil
      end
    end
    owner.changed[field] = true
  end

  owner.earliest = nil
  for field, holds in pairs(owner.holds) do
    if next(holds) then
      local boundary = tonumber(string.sub(field, 2))
      owner.earliest = math.min(owner.earliest or boundary, boundary)
    end
  end
end
