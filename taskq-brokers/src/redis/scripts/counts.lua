-- Counts a queue. Answer: {ready, scheduled, retrying, running, dead}.
local ready, running = ready_count() - call('ZCARD', p..'c'), 0
for _, owner in ipairs(owners()) do
  local fields = call('HGETALL', p..'idx:'..owner)
  for i = 1, #fields, 2 do
    if byte(fields[i]) ~= 107 then running = running + held_count(fields[i + 1]) end
  end
end
return {ready, call('HLEN', p..'dueb'), call('HLEN', p..'retryb'), running, call('HLEN', p..'dead')}
