-- Counts a queue. Answer: {ready, scheduled, retrying, running, dead}.
local ready, running = -call('ZCARD', p..'c'), 0
for _, list in ipairs(READY) do ready = ready + call('LLEN', list) end
for _, owner in ipairs(owners()) do
  local fields = call('HGETALL', p..'idx:'..owner)
  for i = 1, #fields, 2 do
    if byte(fields[i]) ~= 107 then running = running + held_count(fields[i + 1]) end
  end
end
return {ready, call('ZCARD', p..'due'), call('ZCARD', p..'retry'), running, call('HLEN', p..'dead')}
