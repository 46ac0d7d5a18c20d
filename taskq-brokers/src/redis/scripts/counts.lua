-- Counts a queue. Answer: {ready, scheduled, retrying, running, dead}.
local ready, running = -call('ZCARD', p..'c'), 0
for _, list in ipairs(READY) do ready = ready + call('LLEN', list) end
for _, owner in ipairs(owners()) do running = running + call('HLEN', p..'own:'..owner) end
return {ready, call('ZCARD', p..'due'), call('ZCARD', p..'retry'), running, call('HLEN', p..'dead')}
