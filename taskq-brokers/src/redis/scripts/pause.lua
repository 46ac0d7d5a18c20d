#!lua flags=allow-oom
-- Hands out nothing more. ARGV: - . Answer: 1, or 0 if it was paused already. Whoever waits stands in `asleep` until it is
-- resumed, so that no task is handed to it with a bell, and no bell wakes it for nothing.
if call('EXISTS', p..'paused') == 1 then return 0 end
local idle = call('ZRANGE', p..'idle', 0, -1)
for _, owner in ipairs(idle) do call('ZADD', p..'asleep', number(now()), owner) end
call('SET', p..'paused', number(now()))
call('DEL', p..'idle')
return 1
