#!lua flags=allow-oom
-- Looks a task up; with a channel, asks to be told of its end. ARGV: key, channel or ''.
-- Answer: {} or {state, number, bytes, owner, progress}: bytes are a marker if ready or expired, the record if ended, the
-- dead letter if dead, else the element.
local key, channel, t = ARGV[1], ARGV[2], now()

local function listen()
  if channel == '' then return end
  local channels = call('HGET', p..'w', key)
  if not channels then
    call('HSET', p..'w', key, channel)
  elseif not string.find(' '..channels..' ', ' '..channel..' ', 1, true) then
    call('HSET', p..'w', key, channels..' '..channel)
  end
end

local function waiting(state, score, e)
  if expired(e, t) then
    local _, at = key_of(e)
    return {'expired', sub(e, at, at + 13), marker_of(e)}
  end
  listen()
  return {state, score, e}
end

-- Who only waits for the end need not know whether it runs, unless only that tells that it has not ended.
local m, owner, batch, at, index = marker(key), nil, nil, nil, nil
if channel == '' or not m or #m > 2 then owner, batch, at, index = holder(key) end
if owner then
  local element
  each_held(call('HGET', p..'own:'..owner, batch), index, function(e, position) if position == at then element = e end end)
  return {'running', '0', element, owner, call('HGET', p..'pg', key)}
end
for set, state in pairs({due = 'scheduled', retry = 'retrying'}) do
  local score = call('ZSCORE', p..set, key)
  if score then return waiting(state, score, call('HGET', p..'dueb', key)) end
end
if m then
  if string.match(sub(m, 3), '^%d') and tonumber(sub(m, 3, 16)) <= t then return {'expired', sub(m, 3, 16), m} end
  listen()
  return {'ready', '0', m}
end
local dead = call('HGET', p..'dead', key)
if dead then return {'dead', call('ZSCORE', p..'deadz', key), dead} end
local found = record(key, t)
if found then return {'ended', '0', found} end
local dropped = call('ZSCORE', p..'c', key)
if dropped then return {'ended', '0', 'c'..NOBODY..'0:'..number(tonumber(dropped))..':'} end
return {}
