-- The batch as lua/README.md describes it: every plan gets `limits`, the table that plans of the same shape share.
local function decode_batch(text)
  local batch = cjson.decode(text)
  for _, plan in ipairs(batch.plans) do
    plan.limits = batch.shapes[plan.shape]
  end
  return batch
end
