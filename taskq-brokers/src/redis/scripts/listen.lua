#!lua flags=allow-oom
-- Asks to be told of the end of a task, or tells it: the short way of `find.lua` for whoever waits.
-- ARGV: key, channel. Answer: 1 asked, its marker says that it lives; its final record; 0 look closer.
local p, call = KEYS[1], redis.call
local m = call('HGET', p..'m', ARGV[1])
if m and #m == 2 then
  if call('HSETNX', p..'w', ARGV[1], ARGV[2]) == 1 then return 1 end
  local channels = call('HGET', p..'w', ARGV[1])
  if not string.find(' '..channels..' ', ' '..ARGV[2]..' ', 1, true) then
    call('HSET', p..'w', ARGV[1], channels..' '..ARGV[2])
  end
  return 1
end
--PRELUDE
return record(ARGV[1], now()) or 0
