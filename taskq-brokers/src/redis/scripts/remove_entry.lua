#!lua flags=allow-oom
-- kept -> none. ARGV: token of a leader or '', origin, name.
-- Answer: 'applied', 'fenced' if a greater token was seen, or the origin that the entry has instead.
if ARGV[1] ~= '' and is_old_token(ARGV[1]) then return 'fenced' end
local kept = call('HGET', p..'entry', ARGV[3])
if not kept then return 'applied' end
if sub(kept, 1, 1) ~= ARGV[2] then return sub(kept, 1, 1) end
call('ZREM', p..'entries', ARGV[3])
call('HDEL', p..'entry', ARGV[3])
call('HDEL', p..'cursor', ARGV[3])
call('HDEL', p..'fired', ARGV[3])
call('INCR', p..'mark')
return 'applied'
