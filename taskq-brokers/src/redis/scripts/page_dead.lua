#!lua flags=allow-oom
-- Dead letters, oldest first. ARGV: key of the last one of the page before or ''; most letters, most bytes.
-- Answer: for each letter its key, when it died, and what is kept of it.
local first, most, room, answer = 0, tonumber(ARGV[2]), tonumber(ARGV[3]), {}
if ARGV[1] ~= '' then
  local rank = call('ZRANK', p..'deadz', ARGV[1])
  if rank then first = rank + 1 end
end
while most > 0 and room > 0 do
  local named = call('ZRANGE', p..'deadz', first, first + math.min(most, 20) - 1, 'WITHSCORES')
  if #named == 0 then break end
  local keys = {}
  for i = 1, #named, 2 do keys[#keys + 1] = named[i] end
  local stored = call('HMGET', p..'dead', unpack(keys))
  for i = 1, #keys do
    if room <= 0 then break end
    if stored[i] then
      local n = #answer
      answer[n + 1], answer[n + 2], answer[n + 3] = keys[i], named[2 * i], stored[i]
      most, room = most - 1, room - #stored[i]
    end
  end
  first = first + #keys
end
return answer
