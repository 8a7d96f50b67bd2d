-- Writes the records that changed, and their places in the index of open reservations (a part of one has no place there).
-- Every key gets its expiry here: an open reservation outlives its lease by `retention_ms`, one that is done stays as long;
-- an index lives at least `index_ttl_ms` longer than its last reservation began.
local function write_records(records, keys, now, retention_ms, index_ttl_ms)
  local refreshed = {}
  for place, record in pairs(records) do
    if record and record.changed then
      -- Parts outlive the record of their whole, so that a call that is repeated finds them all or none.
      local lives_ms = retention_ms + record.changed.extra_ms
      local index, id = keys[record.changed.index], record.changed.id
      if record.state == 'open' then
        lives_ms = lives_ms + math.max(0, record.expires_at - now)
        if index then
          redis.call('ZADD', index, record.expires_at, id)
          if not refreshed[index] then
            refreshed[index] = true
            -- Once an hour is enough, and every time would be one more line in the append-only file.
            if redis.call('PTTL', index) < index_ttl_ms then
              redis.call('PEXPIRE', index, index_ttl_ms + 3600000)
            end
          end
        end
      elseif index then
        redis.call('ZREM', index, id)
      end
      if record.state == 'withdrawn' then
        redis.call('UNLINK', keys[place])
      else
        redis.call('SET', keys[place], cmsgpack.pack({
          record.fingerprint, record.digest, record.state, record.fate, record.expires_at, record.first, record.settled,
          record.attempts, record.begun,
        }), 'PX', lives_ms)
      end
    end
  end
end
