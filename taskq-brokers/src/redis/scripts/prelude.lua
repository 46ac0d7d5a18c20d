-- What every script shares: the clock, the head of an element, endings, doorbells. KEYS[1] is the queue's prefix
-- `namespace:{queue}:`; every key below begins with it, so a script touches one hash slot.
--
-- An element, as it stands in ready lists, in `dueb` and (after eight bytes of delivery token) in owner hashes:
--   1 deliveries | 2 version | 3 flags | 4 priority digit | 5 max deliveries | 6 class of time to live | 7 attempts
--   8 length of key | key | 14 digits of expiry if flag 2 | length and unique key if flag 4 or 8 | envelope as JSON
-- Flags: 1 tracked, 2 expires, 4 unique until the end, 8 unique until the start.
--
-- Blocks are parted by blank lines. A script is loaded with those blocks alone that it needs: defining functions takes
-- longer than most commands.

local p = KEYS[1]
local call, byte, sub, char, band = redis.call, string.byte, string.sub, string.char, bit.band

local LEASE = 4500

local DEAD_TTL = 30 * 86400000

-- Milliseconds that results of each class live at least; a bucket covers one such span.
local CLASSES = {60000, 600000, 3600000, 21600000, 86400000, 604800000, 2592000000, 31536000000, 315360000000}

local READY = {p..'r9', p..'r8', p..'r7', p..'r6', p..'r5', p..'r4', p..'r3', p..'r2', p..'r1', p..'r0'}

local function now()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000) + skew()
end

local function number(n) return string.format('%.0f', n) end

-- The second in which the server started, in milliseconds, if it tells: a user without the right to ask gets no mercy,
-- but the tasks of dead workers must come back all the same.
local function server_start(t)
  if not MERCY then return nil end
  local told = redis.pcall('INFO', 'server')
  local up = type(told) == 'string' and string.match(told, 'uptime_in_seconds:(%d+)')
  return up and (math.floor(t / 1000) - tonumber(up)) * 1000
end

-- Whether a lapsed lease was granted before the server started, and that was less than a lease ago: then nobody could
-- renew it, and nobody is dead for it.
local function deserves_mercy(score, t, started)
  return started and t - started < LEASE + 1000 and tonumber(score) - LEASE < started
end

local function alive(owner, t)
  local score = call('ZSCORE', p..'lease', owner)
  if not score then return false end
  if tonumber(score) > t then return true end
  if deserves_mercy(score, t, server_start(t)) then
    call('ZADD', p..'lease', number(t + LEASE), owner)
    return true
  end
  return false
end

-- The key of an element and where its optional fields begin.
local function key_of(e)
  local n = byte(e, 8)
  return sub(e, 9, 8 + n), 9 + n
end

local function expired(e, t)
  if band(byte(e, 3), 2) == 0 then return false end
  local _, at = key_of(e)
  return (tonumber(sub(e, at, at + 13)) or math.huge) <= t
end

local function unique_of(e)
  if band(byte(e, 3), 12) == 0 then return nil end
  local _, at = key_of(e)
  if band(byte(e, 3), 2) ~= 0 then at = at + 14 end
  return sub(e, at + 1, at + (byte(e, at) or 0))
end

-- What `m` keeps of a live task: class, attempts, and what a cancel needs: 14 digits of expiry, `u` and unique key.
local function marker_of(e)
  local _, at = key_of(e)
  local m = sub(e, 6, 7)
  if band(byte(e, 3), 2) ~= 0 then m = m..sub(e, at, at + 13) end
  local u = unique_of(e)
  if u then m = m..'u'..u end
  return m
end

-- Keys of untracked tasks are UUIDs of version 8.
local function tracked(key)
  return not (#key == 16 and byte(key, 9) >= 128 and math.floor(byte(key, 7) / 16) == 8)
end

local function needs_marker(e) return band(byte(e, 3), 13) ~= 0 end

local function free_unique(u, key)
  if u and call('HGET', p..'u', u) == key then call('HDEL', p..'u', u) end
end

-- Neighbouring tasks end in the same bucket: the shard comes from the time in the key.
local function shard(key)
  if #key == 16 and byte(key, 9) >= 128 then
    local a, b = byte(key, 5, 6)
    return math.floor((a * 256 + b) / 16) % 1024
  end
  local h = 0
  for i = 1, #key do h = (h * 31 + byte(key, i)) % 1024 end
  return h
end

local function bucket(class, t, back, key)
  local span = CLASSES[class]
  return p..'res:'..class..':'..number(math.floor(t / span) - back)..':'..shard(key)
end

-- A bucket that is new: the sweep ends it after the span that follows its own. The time to live is only the net.
local function touch(name, class, t)
  local ends = (math.floor(t / CLASSES[class]) + 2) * CLASSES[class]
  if call('ZADD', p..'buckets', 'NX', number(ends), name) == 1 then
    call('PEXPIRE', name, number(ends - t + 86400000))
  end
end

-- The final record of a task: state letter, token or eight zero bytes, attempts, time, result.
local function store(state, class, key, token, attempts, t, result)
  local name = bucket(class, t, 0, key)
  call('HSET', name, key, state..token..attempts..':'..number(t)..':'..result)
  touch(name, class, t)
end

local function record(key, t)
  for class = 1, #CLASSES do
    for back = 0, 1 do
      local found = call('HGET', bucket(class, t, back, key), key)
      if found then return found end
    end
  end
  return nil
end

-- Tells whoever waits for the end of a task. Nobody pays for this while nobody waits.
local function tell(key)
  if call('EXISTS', p..'w') == 0 then return end
  local channels = call('HGET', p..'w', key)
  if not channels then return end
  call('HDEL', p..'w', key)
  for channel in string.gmatch(channels, '%S+') do call('PUBLISH', channel, key) end
end

local NOBODY = string.rep('\0', 8)

-- {scheduled, ready, retrying, running} -> {cancelled, expired}: ends an element that is in no list any more.
local function end_element(e, state, t)
  local key = key_of(e)
  if needs_marker(e) then call('HDEL', p..'m', key) end
  free_unique(unique_of(e), key)
  if band(byte(e, 3), 1) ~= 0 then store(state, byte(e, 6), key, NOBODY, byte(e, 7), t, '') end
  tell(key)
end

-- Wakes one waiting worker that is alive.
local function ring(t)
  while true do
    local idle = call('ZPOPMIN', p..'idle')
    if #idle == 0 then return end
    local lease = call('ZSCORE', p..'lease', idle[1])
    if lease and tonumber(lease) > t then
      call('LPUSH', p..'bell:'..idle[1], '1')
      call('PEXPIRE', p..'bell:'..idle[1], 60000)
      return
    end
  end
end

local function push_last(e) call('LPUSH', p..'r'..sub(e, 4, 4), e) end
local function push_first(e) call('RPUSH', p..'r'..sub(e, 4, 4), e) end

-- scheduled, retrying -> ready, when due.
local function promote(t, limit)
  local moved = 0
  for _, set in ipairs({'due', 'retry'}) do
    local keys = call('ZRANGEBYSCORE', p..set, '-inf', number(t), 'LIMIT', 0, limit - moved)
    if #keys > 0 then
      local elements = call('HMGET', p..'dueb', unpack(keys))
      -- First here, then no longer there: a right taken away half-way may double a task and must not lose it.
      for i = 1, #keys do if elements[i] then push_last(elements[i]) end end
      call('ZREM', p..set, unpack(keys))
      call('HDEL', p..'dueb', unpack(keys))
      moved = moved + #keys
    end
    if moved >= limit then break end
  end
  return moved
end

local function next_due()
  local first
  for _, set in ipairs({'due', 'retry'}) do
    local head = call('ZRANGE', p..set, 0, 0, 'WITHSCORES')
    if head[2] and (not first or tonumber(head[2]) < first) then first = tonumber(head[2]) end
  end
  return first
end

local function put_due(set, e, at, t)
  local key = key_of(e)
  local before = next_due()
  call('HSET', p..'dueb', key, e)
  call('ZADD', p..set, number(at), key)
  -- Whoever waits has to set its alarm anew.
  if not before or at < before then ring(t) end
end

local function bury(e, reason, t)
  local key = key_of(e)
  if needs_marker(e) then call('HDEL', p..'m', key) end
  free_unique(unique_of(e), key)
  call('HSET', p..'dead', key, reason..'\n'..e)
  call('ZADD', p..'deadz', number(t), key)
  tell(key)
end

-- Everybody who may hold tasks: from joining on, until nothing is left to hand back.
local function owners() return call('ZRANGE', p..'owners', 0, -1) end

-- Ends a task that waits, by key. True if there was one.
local function end_waiting(key, t)
  for _, set in ipairs({'due', 'retry'}) do
    if call('ZREM', p..set, key) == 1 then
      local e = call('HGET', p..'dueb', key)
      call('HDEL', p..'dueb', key)
      if expired(e, t) then end_element(e, 'x', t) return 'expired' end
      end_element(e, 'c', t)
      return 'cancelled'
    end
  end
  local m = call('HGET', p..'m', key)
  if not m then return nil end
  for _, owner in ipairs(owners()) do
    if call('HEXISTS', p..'own:'..owner, key) == 1 then return 'running', owner end
  end
  -- It is in a ready list, where it cannot be found; a claim drops it.
  local rest, state = sub(m, 3), 'c'
  if string.match(rest, '^%d') then
    if tonumber(sub(rest, 1, 14)) <= t then state = 'x' end
    rest = sub(rest, 15)
  end
  if sub(rest, 1, 1) == 'u' then free_unique(sub(rest, 2), key) end
  call('HDEL', p..'m', key)
  call('ZADD', p..'c', number(t), key)
  if tracked(key) then store(state, byte(m, 1), key, NOBODY, byte(m, 2), t, '') end
  tell(key)
  return state == 'c' and 'cancelled' or 'expired'
end

-- running -> ready (or dead, cancelled): takes an element from a worker that will not end it.
local function hand_back(v, count_deliveries, t)
  local e = sub(v, 9)
  local key = key_of(e)
  if call('HDEL', p..'cr', key) == 1 then
    end_element(e, 'c', t)
    return 'buried'
  end
  if count_deliveries then
    if byte(e, 1) >= byte(e, 5) then
      bury(e, 'crashed', t)
      return 'buried'
    end
  else
    e = '\0'..sub(e, 2)
  end
  push_first(e)
  return 'reclaimed'
end

-- Hands back up to about `limit` of what an owner holds; says what became of it, and whether anything is left.
local function drain_owner(owner, limit, count_deliveries, t)
  local name = p..'own:'..owner
  -- Not a scan: from its start it only passes the places of what earlier steps took, and at last finds nothing.
  local entries = call('HRANDFIELD', name, limit, 'WITHVALUES')
  local keys, values, counts = {}, {}, {reclaimed = 0, buried = 0}
  for i = 1, #entries, 2 do
    keys[#keys + 1] = entries[i]
    values[entries[i]] = entries[i + 1]
  end
  if #keys > 0 then
    -- The smallest key, the oldest task, is pushed last and so comes first.
    table.sort(keys, function(a, b) return a > b end)
    if call('EXISTS', p..'pg') == 1 then call('HDEL', p..'pg', unpack(keys)) end
    for _, key in ipairs(keys) do
      local became = hand_back(values[key], count_deliveries, t)
      -- Only now, and one by one: an error half-way must not leave a task nowhere, nor in two places more than once.
      call('HDEL', name, key)
      counts[became] = counts[became] + 1
    end
  end
  return counts, call('EXISTS', name) == 1
end
