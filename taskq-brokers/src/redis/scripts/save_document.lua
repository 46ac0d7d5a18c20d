-- none -> kept, or kept -> kept at another version. ARGV: name, 16 digits of the expected version or '' for none, text, how
-- many documents there may be.
-- Answer: {'a', version} if it was saved; {'c', present version or ''} if it is at another one; {'f'} if there are as many as
-- there may be.
-- A record in `doc` is: 16 digits of version | 14 digits of when it was saved | text.
local name, kept = ARGV[1], call('HGET', p..'doc', ARGV[1])
local present = kept and sub(kept, 1, 16) or ''
if present ~= ARGV[2] then return {'c', present} end
if not kept and call('ZCARD', p..'docs') >= tonumber(ARGV[4]) then return {'f'} end
local t = now()
local version = next_number(t)
if type(version) == 'table' then return version end
version = string.format('%016.0f', version)
call('HSET', p..'doc', name, version..string.format('%014.0f', t)..ARGV[3])
-- What a page finds in `docs` it looks up in `doc`, so that comes last; and each time, in case the right for it was missing once.
call('ZADD', p..'docs', 0, name)
return {'a', version}
