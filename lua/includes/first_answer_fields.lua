-- Places in record[FIRST] (record_fields), what reserve answered first: now, expires_at, reserved tokens and cost, counters
-- (pack_counters), detail of the answer, then what was taken of each limit (read_taken).
local ADMITTED_AT, RESERVED_TOKENS, RESERVED_COST, COUNTERS, TAKEN = 1, 3, 4, 5, 7
