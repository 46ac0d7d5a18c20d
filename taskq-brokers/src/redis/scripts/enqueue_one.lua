-- new -> ready, or running if a worker waits for it, for one plain tracked task that this connection sends for the first
-- time: the fewest commands.
-- Its marker tells whether it was accepted before; whoever repeats it uses the script for each, which leaves a mark, so
-- that a first one that comes late, after its repetition has ended, is known. Such marks have a bucket of their own,
-- which hardly ever exists: one command asks for it and for waiting workers.
-- What rings a doorbell is defined only when somebody may wait for it: defining it costs more than the three commands.
-- ARGV: batch id, bucket of repetitions, key, marker, priority digit, element, channel to be told of its end or ''.
-- Answer: 1 accepted, 0 accepted before.
local p, call = KEYS[1], redis.call
local special = call('EXISTS', p..'idle', p..'bm:'..ARGV[2]) > 0
if special and call('HEXISTS', p..'bm:'..ARGV[2], ARGV[1]) == 1 then return 0 end
if call('HSETNX', p..'m', ARGV[3], ARGV[4]) == 0 then return 0 end
if ARGV[7] ~= '' then call('HSET', p..'w', ARGV[3], ARGV[7]) end
if not special then
  call('LPUSH', p..'r'..ARGV[5], ARGV[6])
  return 1
end
--PRELUDE
local t = now()
-- Whatever is ready already comes first.
if call('EXISTS', unpack(READY)) > 0 or not hand(ARGV[6], t) then
  push_last(ARGV[6])
  ring(t)
end
return 1
