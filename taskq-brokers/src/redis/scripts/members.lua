#!lua flags=allow-oom
-- Members in the order of their ids. KEYS: the prefix of the fleet. ARGV: last of the page before or ''; most members, most
-- bytes. Answer: for each its id, when it reported, what is asked of it or '', its report. Ids are sorted here, for there
-- are as many as there are processes.
local t, room, answer, ids = now(), tonumber(ARGV[3]), {}, {}
for _, id in ipairs(call('ZRANGE', p..'until', '('..number(t), '+inf', 'BYSCORE')) do
  if id > ARGV[1] then ids[#ids + 1] = id end
end
table.sort(ids)
for i = 1, math.min(#ids, tonumber(ARGV[2])) do
  if room <= 0 then break end
  local kept = call('HGET', p..'report', ids[i])
  if kept then
    local space, n = string.find(kept, ' ', 1, true), #answer
    answer[n + 1], answer[n + 2] = ids[i], sub(kept, 1, space - 1)
    answer[n + 3], answer[n + 4] = call('HGET', p..'asked', ids[i]) or '', sub(kept, space + 1)
    room = room - #kept
  end
end
return answer
