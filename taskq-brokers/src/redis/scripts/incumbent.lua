#!lua flags=allow-oom
-- Who leads. KEYS: the prefix of the leadership. Answer: {candidate, token, milliseconds until its term ends}, or {}.
local t, led = now(), call('HMGET', p..'leader', 'candidate', 'token', 'until')
if not led[1] or tonumber(led[3]) <= t then return {} end
return {led[1], led[2], tonumber(led[3]) - t}
