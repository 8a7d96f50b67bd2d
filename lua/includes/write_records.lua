--- @include "record_fields"
--- @include "text_of"
-- Once an hour is enough, and every time would be one more line in the append-only file.
local INDEX_REFRESHED_EVERY_MS = 3600000

-- Writes the records that changed, and their places in the index of open reservations (a part of one has no place there).
-- `changed`, by place of the record in KEYS: place of the index, id, how much longer than `retention_ms` the record lives.
-- Every key gets its expiry here: an open reservation outlives its lease by `retention_ms`, one that is done stays as long;
-- an index lives at least `index_ttl_ms` longer than its last reservation began. An attempt that comes, or goes, when the lease
-- has ended prolongs nothing: what a crash has left must go, and a sweep may have been there.
local function write_records(records, changed, keys, now, retention_ms, index_ttl_ms)
  local refreshed = {}
  for place, change in pairs(changed) do
    local record, index, id = records[place], keys[change[1]], change[2]
    -- Parts outlive the record of their whole, so that a call that is repeated finds them all or none.
    local lives_ms = retention_ms + change[3]
    local has_ended = record[STATE] == 'open' and record[EXPIRES_AT] <= now
    if record[STATE] == 'open' and not has_ended then
      lives_ms = lives_ms + record[EXPIRES_AT] - now
      if index then
        redis.call('ZADD', index, text_of(record[EXPIRES_AT]), id)
        if not refreshed[index] then
          refreshed[index] = true
          if redis.call('PTTL', index) < index_ttl_ms then
            redis.call('PEXPIRE', index, index_ttl_ms + INDEX_REFRESHED_EVERY_MS)
          end
        end
      end
    elseif index and not has_ended then
      redis.call('ZREM', index, id)
    end
    if record[STATE] == 'withdrawn' then
      redis.call('UNLINK', keys[place])
    elseif has_ended then
      redis.call('SET', keys[place], cmsgpack.pack(record), 'KEEPTTL')
    else
      redis.call('SET', keys[place], cmsgpack.pack(record), 'PX', text_of(lives_ms))
    end
  end
end
