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
  for i = 1, #named, 2 do
    if room <= 0 then break end
    local stored = call('HGET', p..'dead', named[i])
    if stored then
      local n = #answer
      answer[n + 1], answer[n + 2], answer[n + 3] = named[i], named[i + 1], stored
      most, room = most - 1, room - #stored
    end
  end
  first = first + #named / 2
end
return answer
