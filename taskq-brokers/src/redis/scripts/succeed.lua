#!lua flags=allow-oom
-- running -> succeeded, for many tasks without unique keys at once.
-- ARGV: owner, then five for each: key, token, class (0 if untracked), attempts, result.
-- Answer: a string of 1 (applied) and 0 (fenced).
local owner, t = ARGV[1], now()
local own = p..'own:'..owner
local keys = {}
for i = 2, #ARGV, 5 do keys[#keys + 1] = ARGV[i] end
local values = alive(owner, t) and call('HMGET', own, unpack(keys)) or {}
local ending, tracked_keys, buckets, order, answer = {}, {}, {}, {}, {}
local at, suffix = number(t)..':', nil
for i = 1, #keys do
  local a = 2 + (i - 1) * 5
  local v, token, class = values[i], ARGV[a + 1], tonumber(ARGV[a + 2])
  if v and sub(v, 1, 8) == token then
    answer[i] = '1'
    ending[#ending + 1] = keys[i]
    values[i] = false
    if class > 0 then
      tracked_keys[#tracked_keys + 1] = keys[i]
      local name = bucket(class, t, 0, keys[i])
      local fields = buckets[name]
      if not fields then
        fields = {}
        buckets[name] = fields
        order[#order + 1] = {name, class}
      end
      fields[#fields + 1] = keys[i]
      fields[#fields + 1] = 's'..token..ARGV[a + 3]..':'..at..ARGV[a + 4]
    end
  else
    -- The same write again, after its answer was lost, is no stale write.
    local found = class > 0 and record(keys[i], t)
    answer[i] = (found and sub(found, 2, 9) == token) and '1' or '0'
  end
end
if #ending > 0 then
  call('HDEL', own, unpack(ending))
  if call('EXISTS', p..'pg') == 1 then call('HDEL', p..'pg', unpack(ending)) end
  if call('EXISTS', p..'cr') == 1 then call('HDEL', p..'cr', unpack(ending)) end
end
if #tracked_keys > 0 then
  call('HDEL', p..'m', unpack(tracked_keys))
  for _, named in ipairs(order) do
    call('HSET', named[1], unpack(buckets[named[1]]))
    touch(named[1], named[2], t)
  end
end
if #ending > 0 and call('EXISTS', p..'w') == 1 then
  for _, key in ipairs(ending) do tell(key) end
end
return table.concat(answer)
