--- @include "boundary_of"
--- @include "read_all_holds"
--- @include "find_hold"
-- What is held on the given limits and when it runs out, for telling when trying again makes sense:
-- number of the limit, 1 when it is charged then (else given back), boundary, amount, one after the other.
local function list_holds(plan, numbers)
  local shape, list = plan.shape, {}
  for _, number in ipairs(numbers) do
    local slot, held = shape.slot[number], plan.states[shape.state[number]][shape.place[number] + 2]
    if held > 0 and shape.kind[number] ~= 'requests' and shape.mode ~= 'postpaid' then
      local owner = plan.owners[shape.owner[number]]
      read_all_holds(owner)
      for field, holds in pairs(owner.holds) do
        local at = find_hold(holds, slot)
        if at and holds[at] > 0 then
          local last = #list
          list[last + 1], list[last + 2] = number, string.sub(field, 1, 1) == 'c' and 1 or 0
          list[last + 3], list[last + 4] = boundary_of(field), holds[at]
        end
      end
    end
  end
  return list
end
