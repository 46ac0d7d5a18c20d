#!lua flags=allow-oom
-- running -> succeeded, retrying, dead, cancelled or ready, one by one.
-- ARGV: owner, then five for each: batch, position, element as it shall be kept (no deliveries), what (s, r, d, c, l), and
--   for it: result (empty if none is kept), milliseconds of delay, reason, nothing, nothing.
-- Answer: a string of 1 (applied) and 0 (fenced).
local owner, t = ARGV[1], now()
local living = alive(owner, t)
local answer, became_ready, new_alarm = {}, false, false
for i = 2, #ARGV, 5 do
  local batch, position, e, what, with = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local key = key_of(e)
  local index, held = nil, ''
  if living then index, held = held_of(owner, batch, position) end
  if held ~= '' then
    -- What somebody cancelled is not handed out again.
    if call('HDEL', p..'cr', key) == 1 and (what == 'r' or what == 'l') then what, with = 'c', '' end
    if what == 's' or what == 'c' then
      if needs_marker(e) then unmark(key) end
      free_unique(unique_of(e), key)
      if band(byte(e, 3), 1) ~= 0 then
        tell(key, store(what, byte(e, 6), key, struct.pack('>I8', batch), byte(e, 7), t, with))
      else
        tell(key)
      end
    elseif what == 'd' then
      bury(e, with, t)
    else
      if needs_marker(e) and marker(key) ~= marker_of(e) then mark(key, marker_of(e)) end
      if what == 'r' then
        new_alarm = put_due('retry', e, t + tonumber(with), next_due()) or new_alarm
      else
        push_first(e)
        became_ready = true
      end
    end
    -- Only now: an error half-way, such as a right taken away, must not leave the task nowhere.
    let_go(owner, batch, index, held)
    call('HDEL', p..'pg', key)
    answer[#answer + 1] = '1'
  else
    answer[#answer + 1] = band(byte(e, 3), 1) ~= 0 and ended_by(key, batch, t) and '1' or '0'
  end
end
if became_ready or new_alarm then ring(t) end
return table.concat(answer)
