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
local m, owner, element = marker(key), nil, nil
if channel == '' or not m or #m > 2 then owner, element = holder(key) end
if owner then
  return {'running', '0', element, owner, call('HGET', p..'pg', key)}
end
local set, chunk, waits = find_due(key)
if set then
  return waiting(set == 'due' and 'scheduled' or 'retrying', call('ZSCORE', p..set..':'..chunk, key), waits)
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
