#!lua flags=allow-oom
-- running -> succeeded, retrying, dead, cancelled or ready, one by one.
-- ARGV: owner, then four for each: token, element as it shall be kept (no deliveries), what (s, r, d, c, l), and for it:
--   result (empty if none is kept), milliseconds of delay, reason, nothing, nothing.
-- Answer: a string of 1 (applied) and 0 (fenced).
local owner, t = ARGV[1], now()
local own, living = p..'own:'..owner, alive(owner, t)
local answer, became_ready = {}, false
for i = 2, #ARGV, 4 do
  local token, e, what, with = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local key = key_of(e)
  local v = living and call('HGET', own, key)
  if v and sub(v, 1, 8) == token then
    -- What somebody cancelled is not handed out again.
    if call('HDEL', p..'cr', key) == 1 and (what == 'r' or what == 'l') then what, with = 'c', '' end
    if what == 's' or what == 'c' then
      if needs_marker(e) then call('HDEL', p..'m', key) end
      free_unique(unique_of(e), key)
      if band(byte(e, 3), 1) ~= 0 then store(what, byte(e, 6), key, token, byte(e, 7), t, with) end
      tell(key)
    elseif what == 'd' then
      bury(e, with, t)
    else
      if needs_marker(e) then call('HSET', p..'m', key, marker_of(e)) end
      if what == 'r' then put_due('retry', e, t + tonumber(with), t) else push_first(e) became_ready = true end
    end
    -- Only now: an error half-way, such as a right taken away, must not leave the task nowhere.
    call('HDEL', own, key)
    call('HDEL', p..'pg', key)
    answer[#answer + 1] = '1'
  else
    local found = band(byte(e, 3), 1) ~= 0 and record(key, t)
    answer[#answer + 1] = (found and sub(found, 2, 9) == token) and '1' or '0'
  end
end
if became_ready then ring(t) end
return table.concat(answer)
