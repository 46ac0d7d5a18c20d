#!lua flags=allow-oom
-- Hands out again, and wakes whoever waited. Answer: 1, or 0 if it was not paused.
if call('DEL', p..'paused') == 0 then return 0 end
local t = now()
for _, owner in ipairs(call('ZRANGE', p..'asleep', 0, -1)) do
  local lease = call('ZSCORE', p..'lease', owner)
  if lease and tonumber(lease) > t then
    call('LPUSH', p..'bell:'..owner, '1')
    call('PEXPIRE', p..'bell:'..owner, 60000)
  end
end
call('DEL', p..'asleep')
return 1
