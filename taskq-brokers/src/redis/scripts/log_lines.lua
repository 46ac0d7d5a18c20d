-- The log lines of a task. ARGV: key, milliseconds that they are kept after the last. Answer: entries as in `append_log.lua`.
local entries = call('LRANGE', p..'log:'..ARGV[1], 0, -1)
local last = entries[#entries]
if last and tonumber(sub(last, 16, 29)) + tonumber(ARGV[2]) <= now() then return {} end
return entries
