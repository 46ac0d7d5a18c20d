-- new -> ready or scheduled, one by one, for everything that the plain script does not take.
-- ARGV: batch id, batch bucket, then nine for each: element (expiry of zeros), start kind (n, a, t) and milliseconds,
--   expiry kind (-, a, t) and milliseconds, 1 if its own id is looked up, unique kind (-, s, e, a), its milliseconds,
--   unique conflict (s skip, r replace) followed by the unique key.
-- Answer: for each {'c'}, {'d'}, {'h', holder} or {'r', replaced}; or 0 if the batch was accepted before.
local marks = p..'bm:'..ARGV[2]
if call('HSETNX', marks, ARGV[1], '1') == 0 then return 0 end
call('EXPIRE', marks, 600)
local t = now()
local answers, became_ready, before, new_alarm = {}, false, nil, false

-- One that was cancelled while ready is known until a claim has dropped it: two of one key in the lists cannot be told apart.
local function known(key)
  return marker(key) or call('HEXISTS', p..'dead', key) == 1 or record(key, t) ~= nil
    or call('ZSCORE', p..'c', key)
end

-- The holder of a unique key and how it waits.
local function holder_of(kind, unique)
  local held = call('HGET', p..'u', unique)
  if held then return held end
  local timed = call('GET', p..'ut:'..unique)
  if timed and tonumber(sub(timed, 1, 14)) > t then return sub(timed, 15) end
  return nil
end

-- Takes the unique key; answers who keeps it, or whom it was taken from.
local function take(kind, millis, conflict, unique, key)
  local holder, replaced = holder_of(kind, unique), nil
  if holder then
    if conflict == 's' then return holder end
    local m = end_waiting(holder, t)
    if m == 'running' or m == nil then return holder end
    replaced = holder
  end
  if kind == 'a' then
    call('SET', p..'ut:'..unique, string.format('%014.0f', t + millis)..key, 'PX', number(millis + 60000))
  else
    call('HSET', p..'u', unique, key)
    call('DEL', p..'ut:'..unique)
  end
  return nil, replaced
end

for i = 3, #ARGV, 9 do
  local e, key, at = ARGV[i], nil, nil
  key, at = key_of(e)
  local held, replaced
  if ARGV[i + 5] == '1' and known(key) then
    answers[#answers + 1] = {'d'}
  else
    if ARGV[i + 6] ~= '-' then
      local conflict = sub(ARGV[i + 8], 1, 1)
      held, replaced = take(ARGV[i + 6], tonumber(ARGV[i + 7]), conflict, sub(ARGV[i + 8], 2), key)
    end
    if held then
      answers[#answers + 1] = {'h', held}
    else
      if ARGV[i + 3] ~= '-' then
        local expires = tonumber(ARGV[i + 4])
        if ARGV[i + 3] == 'a' then expires = expires + t end
        e = sub(e, 1, at - 1)..string.format('%014.0f', math.max(expires, 0))..sub(e, at + 14)
      end
      local starts = t
      if ARGV[i + 1] == 'a' then starts = t + tonumber(ARGV[i + 2]) end
      if ARGV[i + 1] == 't' then starts = tonumber(ARGV[i + 2]) end
      if starts > t then
        before = before or next_due()
        if put_due('due', e, starts, before) then before, new_alarm = starts, true end
      else
        if needs_marker(e) then call('HSET', p..'m', key, marker_of(e)) end
        push_last(e)
        became_ready = true
      end
      answers[#answers + 1] = replaced and {'r', replaced} or {'c'}
    end
  end
end
if became_ready or new_alarm then ring(t) end
return answers
