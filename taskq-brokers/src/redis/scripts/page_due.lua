#!lua flags=allow-oom
-- Tasks that wait for their time, soonest first. ARGV: due or retry; the chunk, its first time, and time and key of the last
-- one of the page before, or all empty; most tasks, most bytes.
-- Answer: {the time, then for each task its chunk, the chunk's first time, its time, key and element}.
local set, chunk, first, score, key = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local most, room, answer = tonumber(ARGV[6]), tonumber(ARGV[7]), {number(now())}
local rank = 0
if chunk ~= '' then rank = call('ZRANK', p..set, chunk) or call('ZCOUNT', p..set, '-inf', '('..first) end

-- Where in a chunk the page begins: behind the last one of the page before, or, if that is gone, behind its time.
local function begin_in(members)
  for i = 1, #members, 2 do if members[i] == key then return i + 2 end end
  for i = 1, #members, 2 do if tonumber(members[i + 1]) > score then return i end end
  return #members + 1
end

while most > 0 and room > 0 do
  local named = call('ZRANGE', p..set, rank, rank, 'WITHSCORES')
  if not named[1] then break end
  local members = call('ZRANGE', p..set..':'..named[1], 0, -1, 'WITHSCORES')
  local from = named[1] == chunk and begin_in(members) or 1
  local keys = {}
  for i = from, math.min(#members, from + 2 * most - 2), 2 do keys[#keys + 1] = members[i] end
  for i = 1, #keys do
    if room <= 0 then break end
    local stored = call('HGET', p..set..'b', keys[i])
    if stored then
      local n = #answer
      answer[n + 1], answer[n + 2], answer[n + 3] = named[1], named[2], members[from + 2 * i - 1]
      answer[n + 4], answer[n + 5] = keys[i], sub(stored, 5)
      most, room = most - 1, room - #stored
    end
  end
  rank = rank + 1
end
return answer
