#!lua flags=allow-oom
-- Ends a term; running -> ready for about 200 tasks, as if never handed out. ARGV: owner. Answer: 1 if more is left.
local owner, t = ARGV[1], now()
if not alive(owner, t) then return 0 end
local counts, more = drain_owner(owner, 200, false, t)
if counts.reclaimed > 0 then ring(t) end
if more then return 1 end
call('ZREM', p..'lease', owner)
call('ZREM', p..'owners', owner)
call('ZREM', p..'idle', owner)
call('ZREM', p..'asleep', owner)
call('DEL', p..'bell:'..owner, p..'hand:'..owner)
return 0
