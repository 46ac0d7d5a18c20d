#!lua flags=allow-oom
-- vacant -> led, or led -> led for who leads already. KEYS: the prefix of the leadership. ARGV: candidate, milliseconds of
-- the term.
-- Answer: {1, token, the present time} if elected; {0, milliseconds until the term of another one ends}.
local t, led = now(), call('HMGET', p..'leader', 'candidate', 'token', 'until')
local token = led[2]
if led[1] and tonumber(led[3]) > t then
  if led[1] ~= ARGV[1] then return {0, tonumber(led[3]) - t} end
else
  -- Never behind the clock: a server that has lost its last moments gives no token a second time.
  token = number(math.max(tonumber(led[2] or 0) + 1, t))
end
call('HSET', p..'leader', 'candidate', ARGV[1], 'token', token, 'until', number(t + tonumber(ARGV[2])))
return {1, token, number(t)}
