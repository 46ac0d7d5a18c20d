-- none -> kept from now on, or kept -> kept with another text. ARGV: token of a leader or '', origin, name, text.
-- Answer: 'applied', 'fenced' if a greater token was seen, or the origin that the entry has instead.
-- A record in `entry` is: 1 origin | 1 whether it is paused | 14 digits of when it was added | text.
if ARGV[1] ~= '' and is_old_token(ARGV[1]) then return 'fenced' end
local origin, name, text, kept = ARGV[2], ARGV[3], ARGV[4], call('HGET', p..'entry', ARGV[3])
if kept and sub(kept, 1, 1) ~= origin then return sub(kept, 1, 1) end
if kept and sub(kept, 17) == text then return 'applied' end
local t = now()
-- What a page finds in `entries` it looks up in the others, so that comes last.
if not kept then call('HSET', p..'cursor', name, number(t)) end
call('HSET', p..'entry', name, (kept and sub(kept, 1, 16) or origin..'0'..string.format('%014.0f', t))..text)
if not kept then call('ZADD', p..'entries', 0, name) end
call('INCR', p..'mark')
return 'applied'
