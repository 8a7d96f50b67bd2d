-- Start of the calendar period (UTC) that `now` lies in: 'd' midnight, 'w' Monday, 'M' first of the month, 'Y' 1 January.
-- The same as period_start_ms in service/windows.py; whole milliseconds stay exact in doubles.
local function period_start(align, now)
  local day_ms = 86400000
  local day = math.floor(now / day_ms)
  if align == 'd' then
    return day * day_ms
  elseif align == 'w' then
    -- The epoch was a Thursday: three days after a Monday.
    return (day - (day + 3) % 7) * day_ms
  end
  assert(align == 'M' or align == 'Y', 'period_start: unknown period')

  -- Days are counted from 1 March of year 0, so that a leap day is the last of its year (400 years: 146097 days).
  local from_march = day + 719468
  local day_of_era = from_march % 146097
  local leap_days = math.floor(day_of_era / 1460) - math.floor(day_of_era / 36524) + math.floor(day_of_era / 146096)
  local year_of_era = math.floor((day_of_era - leap_days) / 365)
  local day_of_year = day_of_era - (365 * year_of_era + math.floor(year_of_era / 4) - math.floor(year_of_era / 100))
  -- Months from March on: 31, 30, 31, 30, 31 days, again and again.
  local month = math.floor((5 * day_of_year + 2) / 153)
  if align == 'M' then
    return (day - (day_of_year - math.floor((153 * month + 2) / 5))) * day_ms
  end
  -- January and February are months 10 and 11 of the year before; 1 January is its day 306.
  if month >= 10 then
    return (day - (day_of_year - 306)) * day_ms
  end
  local year = math.floor(from_march / 146097) * 400 + year_of_era
  local is_leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  return (day - day_of_year - (is_leap and 60 or 59)) * day_ms
end
