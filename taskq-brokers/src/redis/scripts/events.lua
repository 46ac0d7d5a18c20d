#!lua flags=no-writes,allow-oom
-- A page of events. KEYS: the prefix of the events. ARGV: milliseconds that they are kept, most events, and the place behind
-- which they stand: when its stream was begun and the number in it; or neither.
-- Answer: {the name of the newest, or '', entries as in `publish_events.lua`...}.
local stream, t, name = p..'stream', now(), '^(%d+)-(%d+)$'
local newest = call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
if not newest or tonumber(sub(newest[2][2], 1, 14)) + tonumber(ARGV[1]) <= t then return {''} end
local begun, last = string.match(newest[1], name)
local from = '-'
if ARGV[3] then
  local there, n = tonumber(ARGV[3]), tonumber(ARGV[4])
  -- What this stream has not reached is a place in one that is lost.
  local is_beyond = there > tonumber(begun) or (there == tonumber(begun) and n > tonumber(last))
  if not is_beyond then from = '('..ARGV[3]..'-'..ARGV[4] end
end
local answer = {newest[1]}
if tonumber(ARGV[2]) == 0 then return answer end
for _, entry in ipairs(call('XRANGE', stream, from, '+', 'COUNT', ARGV[2])) do
  answer[#answer + 1], answer[#answer + 2] = entry[1], sub(entry[2][2], 15)
end
return answer
