#!lua flags=allow-oom
-- kept -> paused, or paused -> kept with the cursor at the present time. ARGV: name, 1 to pause or 0 to resume.
-- Answer: 1, or 0 if there is no such entry.
local kept = call('HGET', p..'entry', ARGV[1])
if not kept then return 0 end
if sub(kept, 2, 2) == ARGV[2] then return 1 end
if ARGV[2] == '0' then
  local cursor, t = tonumber(call('HGET', p..'cursor', ARGV[1])), now()
  if t > cursor then call('HSET', p..'cursor', ARGV[1], number(t)) end
end
call('HSET', p..'entry', ARGV[1], sub(kept, 1, 1)..ARGV[2]..sub(kept, 3))
call('INCR', p..'mark')
return 1
