#!lua flags=allow-oom
-- led -> vacant, and tells up to 200 of those who wait for it. KEYS: the prefix of the leadership. ARGV: candidate, token,
-- what they are told of.
-- Answer: 1, or 0 if the candidate does not lead under this token. The token stays, so that the next one is greater.
local led = call('HMGET', p..'leader', 'candidate', 'token')
if led[1] ~= ARGV[1] or led[2] ~= ARGV[2] then return 0 end
call('HDEL', p..'leader', 'candidate')
for _, channel in ipairs(call('ZRANGE', p..'waiting', 0, 199)) do
  call('PUBLISH', channel, char(#ARGV[3])..ARGV[3])
end
call('DEL', p..'waiting')
return 1
