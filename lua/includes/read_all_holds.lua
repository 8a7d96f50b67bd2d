--- @include "boundary_of"
--- @include "parse_list"
--- @include "read_fields"
-- Everything that is held on an owner: owner.holds gets every field.
local function read_all_holds(owner)
  for field, value in pairs(read_fields(owner)) do
    -- What was read before may have been changed since, by another call of the same batch.
    if not owner.holds[field] and boundary_of(field) then
      owner.holds[field] = parse_list(value)
    end
  end
end
