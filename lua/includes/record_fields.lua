-- Places in the record of a reservation, which is a list, as MessagePack keeps it: a list takes a fraction of what the same
-- under names would. FIRST: what reserve answered first (first_answer_fields); SETTLED: what settle answered, or false;
-- ATTEMPTS: see reserve; BEGUN: see windows_begun there, or false.
local FINGERPRINT, DIGEST, STATE, FATE, EXPIRES_AT, FIRST, SETTLED, ATTEMPTS, BEGUN = 1, 2, 3, 4, 5, 6, 7, 8, 9
