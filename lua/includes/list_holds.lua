--- @include "read_all_holds"
-- What is held on the given limits and when it runs out, for telling when trying again makes sense:
-- place, 1 when it is charged then (else given back), boundary, amount, one after the other.
local function list_holds(plan, counters, places)
  local list = {}
  for _, number in ipairs(places) do
    local slot = plan.limits.slot[number]
    if counters[number].held > 0 and plan.limits.kind[number] ~= 'requests' and plan.limits.mode ~= 'postpaid' then
      local owner = plan.owners[plan.limits.owner[number]]
      read_all_holds(owner)
      for field, holds in pairs(owner.holds) do
        if holds[slot] then
          local at = #list
          list[at + 1], list[at + 2] = number, string.sub(field, 1, 1) == 'c' and 1 or 0
          list[at + 3], list[at + 4] = tonumber(string.sub(field, 2)), holds[slot]
        end
      end
    end
  end
  return list
end
