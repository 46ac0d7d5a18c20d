#!lua flags=allow-oom
-- Renews a lease. ARGV: owner. Answer: {1 alive, 1 tasks are ready, milliseconds to the next useful sweep or -1,
-- cancelled keys...}.
local owner, t = ARGV[1], now()
local living = alive(owner, t)
if living then call('ZADD', p..'lease', number(t + lease_of(owner)), owner) end
local ready = 0
if call('EXISTS', unpack(READY)) > 0 and call('EXISTS', p..'paused') == 0 then
  ready = 1
  if call('EXISTS', p..'c') == 1 then
    if ready_count() <= call('ZCARD', p..'c') then ready = 0 end
  end
end
local sweep
local function useful_at(at) if at and (not sweep or at < sweep) then sweep = at end end
local leases = call('ZRANGE', p..'lease', 0, 1, 'WITHSCORES')
for i = 1, #leases, 2 do if leases[i] ~= owner then useful_at(tonumber(leases[i + 1])) break end end
if call('EXISTS', p..'gone') == 1 then sweep = t end
useful_at(next_due())
local oldest = call('ZRANGE', p..'buckets', 0, 0, 'WITHSCORES')
useful_at(tonumber(oldest[2]))
oldest = call('ZRANGE', p..'deadz', 0, 0, 'WITHSCORES')
if oldest[2] then useful_at(tonumber(oldest[2]) + DEAD_TTL) end
local answer = {living and 1 or 0, ready, sweep and math.max(sweep - t, 0) or -1}
if call('EXISTS', p..'cr') == 1 then
  local requested = call('HGETALL', p..'cr')
  for i = 1, #requested, 2 do if requested[i + 1] == owner then answer[#answer + 1] = requested[i] end end
end
return answer
