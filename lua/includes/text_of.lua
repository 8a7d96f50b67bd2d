local texts = {}

-- A whole number as text. Calls of a batch name the same few moments and spans, and Redis takes as long to write one as to
-- find a key.
local function text_of(number)
  local text = texts[number]
  if not text then
    text = string.format('%.0f', number)
    texts[number] = text
  end
  return text
end
