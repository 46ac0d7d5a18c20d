#!lua flags=allow-oom
-- kept -> none. ARGV: name, 16 digits of the expected version. Answer: 1 if there is none afterwards, 0 if it is at another
-- version.
local kept = call('HGET', p..'doc', ARGV[1])
if not kept then return 1 end
if sub(kept, 1, 16) ~= ARGV[2] then return 0 end
call('ZREM', p..'docs', ARGV[1])
call('HDEL', p..'doc', ARGV[1])
return 1
