-- What every script shares: the clock, the head of an element, endings, doorbells. KEYS[1] is the queue's prefix
-- `namespace:{queue}:`; every key below begins with it, so a script touches one hash slot.
--
-- An element, as it stands in `dueb` and `retryb` and, several in a row, in ready lists and in the batches that owners hold:
--   1 deliveries | 2 version | 3 flags | 4 priority digit | 5 max deliveries | 6 class of time to live | 7 attempts
--   8-10 length of the whole | 11 length of key | key | 14 digits of expiry if flag 2 | length and unique key if flag 4 or
--   8 | envelope as JSON
-- Flags: 1 tracked, 2 expires, 4 unique until the end, 8 unique until the start. Deliveries count those hand-outs that a
-- lost lease ended; the present one is known by its place.
--
-- An entry of a ready list is a row: of one element, or of several that were enqueued together, are plain (no flag but 1)
-- and siblings. `x` counts the elements beyond the first of each row. Lua hashes every byte of every string that it makes,
-- so what costs time here is bytes, and a row that is moved as it is costs them once.
--
-- What one claim handed out is one batch, numbered by `seq`, and stays together: `own:<owner>` has its elements in one or
-- more parts, rows in turn, by number, `number:2`, `number:3` and so on. A task is named by its position in all of them,
-- from 0. `idx:<owner>` has for each batch
--   number         2 bytes: how many tasks there were, how many parts there are. If some have ended: those bytes, how many
--                  the parts still have (0 for all), their positions if not all, and the positions that are held
--   k<number>      for each part of one family that family, else its keys; each after its length
-- To be in there and held *is* the lease. A token is the number and the position.
--
-- Keys that are enqueued together are siblings: UUIDs that differ in their last byte alone. The other fifteen name the
-- family. What is kept of many siblings is kept once for all of them:
--   m    by key: the marker of one live task, see `marker_of`; a scheduled one needs none
--   mc   by family: class, and a bit for each live sibling that has no marker of its own, and for no other
--   res  buckets of results. By key: state, number of the batch or eight zero bytes, attempts ':' time ':' result. By
--        family, segments in a row: state, number of the batch or eight zero bytes, 1 byte attempts, 8 time, 4 length, and
--        in it for each sibling 1 byte which, 3 length, result
--
-- What waits for its time, in `due` or `retry`, is kept in chunks: `due` has their names by the first time in them, and
-- `due:<name>` up to 128 keys by time, which the server keeps in one piece of memory. `dueb` has by key 4 bytes of name and
-- the element. Chunks do not overlap. A full one is split, or, if what comes is later than all in it, another one begins.
--
-- Blocks are parted by blank lines. A script is loaded with those blocks alone that it needs: defining functions takes
-- longer than most commands.

local p = KEYS[1]
local call, byte, sub, char, band = redis.call, string.byte, string.sub, string.char, bit.band

-- How long the leases of an owner are, in milliseconds. An older program left a time there, and meant the default.
local function lease_of(owner)
  local length = tonumber(call('ZSCORE', p..'owners', owner) or 4500)
  return length <= 600000 and length or 4500
end

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
local function deserves_mercy(score, length, t, started)
  return started and t - started < length + 1000 and tonumber(score) - length < started
end

local function alive(owner, t)
  local score = call('ZSCORE', p..'lease', owner)
  if not score then return false end
  if tonumber(score) > t then return true end
  local length = lease_of(owner)
  if deserves_mercy(score, length, t, server_start(t)) then
    call('ZADD', p..'lease', number(t + length), owner)
    return true
  end
  return false
end

-- The key of an element and where its optional fields begin.
local function key_of(e)
  local n = byte(e, 11)
  return sub(e, 12, 11 + n), 12 + n
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

-- The family of a UUID, and which of its siblings it is.
local function family_of(key)
  if #key == 16 and byte(key, 9) >= 128 then return sub(key, 1, 15), byte(key, 16) end
end

-- Takes siblings out of their family's marker; `mask` has a bit for each. Answers whether all of them were in it.
local function strike(family, mask)
  local marker = call('HGET', p..'mc', family)
  if not marker then return false end
  if sub(marker, 2) == mask then
    call('HDEL', p..'mc', family)
    return true
  end
  local left, last, were_in = {sub(marker, 1, 1)}, 1, true
  for i = 2, math.max(#marker, #mask + 1) do
    local before, struck = byte(marker, i) or 0, byte(mask, i - 1) or 0
    local bits = band(before, bit.bnot(struck))
    if band(before, struck) ~= struck then were_in = false end
    left[i] = char(bits)
    if bits ~= 0 then last = i end
  end
  if last == 1 then call('HDEL', p..'mc', family) else call('HSET', p..'mc', family, table.concat(left, '', 1, last)) end
  return were_in
end

local function mask_of(at) return string.rep('\0', math.floor(at / 8))..char(bit.lshift(1, at % 8)) end

-- From now on the task has a marker of its own.
local function mark(key, marker)
  call('HSET', p..'m', key, marker)
  local family, at = family_of(key)
  if family then strike(family, mask_of(at)) end
end

-- The marker of a live task: its own, or one made from its element or its family's.
local function marker(key)
  local own = call('HGET', p..'m', key)
  if own then return own end
  local scheduled = call('HGET', p..'dueb', key)
  if scheduled then return needs_marker(sub(scheduled, 5)) and marker_of(sub(scheduled, 5)) end
  local family, at = family_of(key)
  if not family then return nil end
  local shared = call('HGET', p..'mc', family)
  local bits = shared and byte(shared, 2 + math.floor(at / 8)) or 0
  if band(bits, bit.lshift(1, at % 8)) == 0 then return nil end
  return sub(shared, 1, 1)..'\0'
end

-- The task has ended.
local function unmark(key)
  if call('HDEL', p..'m', key) == 1 then return end
  local family, at = family_of(key)
  if family then strike(family, mask_of(at)) end
end

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

local function bucket(class, t, back, shard)
  local span = CLASSES[class]
  return p..'res:'..class..':'..number(math.floor(t / span) - back)..':'..shard
end

-- A bucket that is new: the sweep ends it after the span that follows its own. The time to live is only the net.
local function touch(name, class, t)
  local ends = (math.floor(t / CLASSES[class]) + 2) * CLASSES[class]
  if call('ZADD', p..'buckets', 'NX', number(ends), name) == 1 then
    call('PEXPIRE', name, number(ends - t + 86400000))
  end
end

-- The final record of a task: state letter, number of its batch or eight zero bytes, attempts, time, result.
local function store(state, class, key, token, attempts, t, result)
  local name = bucket(class, t, 0, shard(key))
  local record = state..token..attempts..':'..number(t)..':'..result
  call('HSET', name, key, record)
  touch(name, class, t)
  return record
end

-- The record of one sibling, as one by key reads.
local function record_in(segments, which)
  local at = 1
  while at <= #segments do
    local state, token, attempts = sub(segments, at, at), sub(segments, at + 1, at + 8), byte(segments, at + 9)
    local time, length = struct.unpack('>I8I4', sub(segments, at + 10, at + 21))
    at = at + 22
    local stop = at + length
    while at < stop do
      local one, a, b, c = byte(segments, at, at + 3)
      local size = a * 65536 + b * 256 + c
      if one == which then
        return state..token..attempts..':'..number(time)..':'..sub(segments, at + 4, at + 3 + size)
      end
      at = at + 4 + size
    end
  end
end

-- Keeps each result of a family by its key.
local function spread(name, family, head, entries)
  local fields, at = {}, 1
  while at <= #entries do
    local which, a, b, c = byte(entries, at, at + 3)
    local size = a * 65536 + b * 256 + c
    fields[#fields + 1] = family..char(which)
    fields[#fields + 1] = head..sub(entries, at + 4, at + 3 + size)
    at = at + 4 + size
  end
  call('HSET', name, unpack(fields))
end

-- Keeps the ends of siblings in one segment, while what is kept of the family stays small enough to be read for one.
local function keep(state, name, family, token, attempts, t, entries)
  local segment = state..token..char(attempts)..struct.pack('>I8I4', t, #entries)..entries
  local before = call('HGET', name, family) or ''
  if #segment > 65536 or before ~= '' and #before + #segment > 16384 then
    spread(name, family, state..token..attempts..':'..number(t)..':', entries)
  else
    call('HSET', name, family, before..segment)
  end
end

-- The members of a family whose bits are not in its marker have markers of their own.
local function unmark_siblings(family, mask, entries)
  if strike(family, mask) then return end
  local keys, at = {}, 1
  while at <= #entries do
    local which, a, b, c = byte(entries, at, at + 3)
    keys[#keys + 1] = family..char(which)
    at = at + 4 + a * 65536 + b * 256 + c
  end
  call('HDEL', p..'m', unpack(keys))
end

-- The class of the default time to live first.
local LOOKED_AT = {5, 1, 2, 3, 4, 6, 7, 8, 9}

local function record(key, t)
  local shard, family, which = shard(key), family_of(key)
  for _, class in ipairs(LOOKED_AT) do
    for back = 0, 1 do
      local found = call('HMGET', bucket(class, t, back, shard), key, family or key)
      if found[1] then return found[1] end
      found = family and found[2] and record_in(found[2], which)
      if found then return found end
    end
  end
  return nil
end

-- Whether the task was ended by whoever held it in this batch.
local function ended_by(key, batch, t)
  local found = record(key, t)
  return found and sub(found, 2, 9) == struct.pack('>I8', batch)
end

-- Tells whoever waits for the end of a task, with its final record if it has one. Nobody pays for this while nobody waits.
local function tell(key, record)
  if call('EXISTS', p..'w') == 0 then return end
  local channels = call('HGET', p..'w', key)
  if not channels then return end
  call('HDEL', p..'w', key)
  local message = char(#key)..key..(record or '')
  for channel in string.gmatch(channels, '%S+') do call('PUBLISH', channel, message) end
end

local NOBODY = string.rep('\0', 8)

-- {scheduled, ready, retrying, running} -> {cancelled, expired}: ends an element that is in no list any more.
local function end_element(e, state, t)
  local key = key_of(e)
  if needs_marker(e) then unmark(key) end
  free_unique(unique_of(e), key)
  local record = band(byte(e, 3), 1) ~= 0 and store(state, byte(e, 6), key, NOBODY, byte(e, 7), t, '')
  tell(key, record)
end

-- The number of the next batch, or of the next text of a document. A server that was restarted or replaced can have lost its
-- last moments, and whoever was handed a task in them, or read a document, may still hold a number of theirs: so none is given
-- twice, even if `seq` goes back. It is at least the time in milliseconds since 2026, times 64, since nobody claims and saves
-- that often for long. Answers an error as a table.
local function next_number(t)
  local n, floor = redis.pcall('INCR', p..'seq'), (t - 1767225600000) * 64
  if type(n) == 'table' or n >= floor then return n end
  local set = redis.pcall('SET', p..'seq', number(floor))
  return set.err and set or floor
end

-- Whoever waits for work stands in `idle`, by when it began. If it waits for this queue alone, the number has a half more:
-- then it has a free slot and nothing else to do, and a task can be handed to it with the ring. That saves a round trip.
-- ready -> running. A ring can be lost, so `hand` keeps the task for the owner's next claim too, which answers it again.
local function hand(e, t)
  local first = call('ZRANGE', p..'idle', 0, 0, 'WITHSCORES')
  local owner = first[1]
  if not owner or first[2] % 1 == 0 then return false end
  local lease = call('ZSCORE', p..'lease', owner)
  if not lease or tonumber(lease) <= t then return false end
  local batch = next_number(t)
  if type(batch) == 'table' then return false end
  batch = number(batch)
  call('ZREM', p..'idle', owner)
  call('HSET', p..'own:'..owner, batch, e)
  call('HSET', p..'idx:'..owner, batch, '\1\1', 'k'..batch, sub(e, 11, 11 + byte(e, 11)))
  call('SET', p..'hand:'..owner, batch..':'..e)
  call('LPUSH', p..'bell:'..owner, batch..':'..e)
  call('PEXPIRE', p..'bell:'..owner, 60000)
  return true
end

-- Wakes one waiting worker that is alive; answers whether there was one.
local function ring(t)
  while true do
    local idle = call('ZPOPMIN', p..'idle')
    if #idle == 0 then return false end
    local lease = call('ZSCORE', p..'lease', idle[1])
    if lease and tonumber(lease) > t then
      call('LPUSH', p..'bell:'..idle[1], '1')
      call('PEXPIRE', p..'bell:'..idle[1], 60000)
      return true
    end
  end
end

local function push_last(e) call('LPUSH', p..'r'..sub(e, 4, 4), e) end
local function push_first(e) call('RPUSH', p..'r'..sub(e, 4, 4), e) end

-- Tasks in ready lists, those that a claim will drop included.
local function ready_count()
  local ready = tonumber(call('GET', p..'x') or 0)
  for _, list in ipairs(READY) do ready = ready + call('LLEN', list) end
  return ready
end

local function new_chunk(set)
  local name
  repeat name = string.format('%010d', call('INCR', p..'seq') % 4294967296) until call('EXISTS', p..set..':'..name) == 0
  return name
end

local function in_chunk(name, e) return struct.pack('>I4', tonumber(name))..e end

-- Moves the later half of a chunk to a new one; answers its name and its first time.
local function split_chunk(set, chunk)
  local later, name = call('ZRANGE', p..set..':'..chunk, 64, -1, 'WITHSCORES'), new_chunk(set)
  local keys, scores, fields = {}, {}, {}
  for i = 1, #later, 2 do
    keys[#keys + 1] = later[i]
    scores[i], scores[i + 1] = later[i + 1], later[i]
  end
  local stored = call('HMGET', p..set..'b', unpack(keys))
  for i, key in ipairs(keys) do fields[2 * i - 1], fields[2 * i] = key, in_chunk(name, sub(stored[i] or '', 5)) end
  call('ZADD', p..set..':'..name, unpack(scores))
  call('ZADD', p..set, later[2], name)
  call('HSET', p..set..'b', unpack(fields))
  call('ZREM', p..set..':'..chunk, unpack(keys))
  return name, tonumber(later[2])
end

-- The chunk where a time belongs.
local function chunk_for(set, at)
  local chunk = call('ZRANGE', p..set, number(at), '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 1)[1]
    or call('ZRANGE', p..set, 0, 0)[1]
  if not chunk then return new_chunk(set) end
  if call('ZCARD', p..set..':'..chunk) < 128 then return chunk end
  if at >= tonumber(call('ZRANGE', p..set..':'..chunk, -1, -1, 'WITHSCORES')[2]) then return new_chunk(set) end
  local later, first = split_chunk(set, chunk)
  return at >= first and later or chunk
end

-- What is left of a chunk of which something was taken.
local function tidy_chunk(set, chunk)
  local first = call('ZRANGE', p..set..':'..chunk, 0, 0, 'WITHSCORES')
  if first[2] then call('ZADD', p..set, first[2], chunk) else call('ZREM', p..set, chunk) end
end

-- A task that waits for its time: in which set and chunk, and its element.
local function find_due(key)
  for _, set in ipairs({'due', 'retry'}) do
    local stored = call('HGET', p..set..'b', key)
    if stored then return set, string.format('%010d', struct.unpack('>I4', stored)), sub(stored, 5) end
  end
end

-- scheduled, retrying -> ready, when due.
local function promote(t, limit)
  local moved = 0
  for _, set in ipairs({'due', 'retry'}) do
    while moved < limit do
      local chunk = call('ZRANGE', p..set, '-inf', number(t), 'BYSCORE', 'LIMIT', 0, 1)[1]
      if not chunk then break end
      local keys = call('ZRANGE', p..set..':'..chunk, '-inf', number(t), 'BYSCORE', 'LIMIT', 0, limit - moved)
      local lists, markers, stored = {}, {}, #keys > 0 and call('HMGET', p..set..'b', unpack(keys)) or {}
      for i = 1, #keys do
        if stored[i] then
          local e = sub(stored[i], 5)
          local priority = sub(e, 4, 4)
          local list = lists[priority]
          if list then list[#list + 1] = e else lists[priority] = {e} end
          if set == 'due' and needs_marker(e) then
            markers[#markers + 1] = keys[i]
            markers[#markers + 1] = marker_of(e)
          end
        end
      end
      -- First here, then no longer there: a right taken away half-way may double a task and must not lose it.
      if #markers > 0 then call('HSET', p..'m', unpack(markers)) end
      for priority, list in pairs(lists) do call('LPUSH', p..'r'..priority, unpack(list)) end
      if #keys > 0 then
        call('ZREM', p..set..':'..chunk, unpack(keys))
        call('HDEL', p..set..'b', unpack(keys))
      end
      tidy_chunk(set, chunk)
      moved = moved + #keys
    end
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

-- Answers whether it is due before everything else: then whoever waits has to set its alarm anew.
local function put_due(set, e, at, before)
  local key, chunk = key_of(e), chunk_for(set, at)
  call('HSET', p..set..'b', key, in_chunk(chunk, e))
  call('ZADD', p..set..':'..chunk, number(at), key)
  call('ZADD', p..set, 'LT', number(at), chunk)
  return not before or at < before
end

local function bury(e, reason, t)
  local key = key_of(e)
  if needs_marker(e) then unmark(key) end
  free_unique(unique_of(e), key)
  call('HSET', p..'dead', key, reason..'\n'..e)
  call('ZADD', p..'deadz', number(t), key)
  tell(key)
end

-- Everybody who may hold tasks: from joining on, until nothing is left to hand back.
local function owners() return call('ZRANGE', p..'owners', 0, -1) end

-- Positions as a table of what a batch has left, by its entry in `idx`.
local function left_of(index)
  local left = {}
  if #index == 2 then
    for at = 0, byte(index) - 1 do left[at] = true end
    return left
  end
  for i = 4 + byte(index, 3), #index do left[byte(index, i)] = true end
  return left
end

local function held_count(index) return #index == 2 and byte(index) or #index - 3 - byte(index, 3) end

-- The fields of `own` that have the parts of a batch.
local function parts_of(batch, index)
  local fields = {batch}
  for part = 2, byte(index, 2) do fields[part] = batch..':'..part end
  return fields
end

-- All parts of a batch as one row.
local function row_of(owner, batch, index)
  local parts = call('HMGET', p..'own:'..owner, unpack(parts_of(batch, index)))
  for i = 1, #parts do parts[i] = parts[i] or '' end
  return table.concat(parts)
end

-- Calls a function with each element that a batch still holds and its position, in order.
local function each_held(row, index, see)
  local left, kept, start = left_of(index), #index > 2 and byte(index, 3) or 0, 1
  for i = 1, kept > 0 and kept or byte(index) do
    local at = kept > 0 and byte(index, 3 + i) or i - 1
    local a, b, c = byte(row, start + 7, start + 9)
    if not c then return end
    local length = a * 65536 + b * 256 + c
    if left[at] then see(sub(row, start, start + length - 1), at) end
    start = start + length
  end
end

-- The keys of what a batch still holds, by position.
local function keys_at(owner, batch, index)
  local keys = {}
  each_held(row_of(owner, batch, index), index, function(e, at) keys[at] = key_of(e) end)
  return keys
end

-- What an owner holds of some positions of a batch: its entry in `idx` and the positions, all of them or a part.
local function held_of(owner, batch, positions)
  local index = call('HGET', p..'idx:'..owner, batch)
  if not index then return nil, '' end
  if #positions == byte(index) and #index == 2 then return index, positions end
  local left, held = left_of(index), {}
  for i = 1, #positions do
    local at = byte(positions, i)
    if left[at] then
      held[#held + 1] = char(at)
      left[at] = nil
    end
  end
  return index, table.concat(held)
end

-- The batch has nothing left.
local function forget_batch(owner, batch, index)
  call('HDEL', p..'own:'..owner, unpack(parts_of(batch, index)))
  call('HDEL', p..'idx:'..owner, batch, 'k'..batch)
end

-- Takes ended positions out of a batch. When little is left of a long row, what ended no longer takes up memory.
local function let_go(owner, batch, index, ended)
  local own, n = p..'own:'..owner, byte(index)
  if #index == 2 and #ended == n then return forget_batch(owner, batch, index) end
  local left, kept = left_of(index), #index > 2 and byte(index, 3) or 0
  for i = 1, #ended do left[byte(ended, i)] = nil end
  local rest = {}
  for at = 0, n - 1 do if left[at] then rest[#rest + 1] = char(at) end end
  if #rest == 0 then return forget_batch(owner, batch, index) end
  local positions = table.concat(rest)
  local head, places = sub(index, 1, 2), kept > 0 and sub(index, 3, 3 + kept) or '\0'
  if #rest * 4 <= (kept > 0 and kept or n) and (byte(index, 2) > 1 or call('HSTRLEN', own, batch) > 16384) then
    local elements, row, fields = {}, row_of(owner, batch, index), parts_of(batch, index)
    each_held(row, head..places..positions, function(e) elements[#elements + 1] = e end)
    call('HSET', own, batch, table.concat(elements))
    if #fields > 1 then call('HDEL', own, unpack(fields, 2)) end
    head, places = char(n, 1), char(#rest)..positions
  end
  call('HSET', p..'idx:'..owner, batch, head..places..positions)
end

-- The owner that holds a key, and the element.
local function holder(key)
  local family = family_of(key) or key
  for _, owner in ipairs(owners()) do
    local fields = call('HGETALL', p..'idx:'..owner)
    local indexes = {}
    for i = 1, #fields, 2 do indexes[fields[i]] = fields[i + 1] end
    for field, keys in pairs(indexes) do
      if byte(field) == 107 and string.find(keys, family, 1, true) then
        local batch, element = sub(field, 2), nil
        each_held(row_of(owner, batch, indexes[batch]), indexes[batch], function(e)
          if key_of(e) == key then element = e end
        end)
        if element then return owner, element end
      end
    end
  end
end

-- Ends a task that waits, by key: how, if there was one.
local function end_waiting(key, t)
  local set, chunk, e = find_due(key)
  if set then
    call('ZREM', p..set..':'..chunk, key)
    call('HDEL', p..set..'b', key)
    tidy_chunk(set, chunk)
    if expired(e, t) then end_element(e, 'x', t) return 'expired' end
    end_element(e, 'c', t)
    return 'cancelled'
  end
  local m = marker(key)
  if not m then return nil end
  local owner = holder(key)
  if owner then return 'running', owner end
  -- It is in a ready list, where it cannot be found; a claim drops it.
  local rest, state = sub(m, 3), 'c'
  if string.match(rest, '^%d') then
    if tonumber(sub(rest, 1, 14)) <= t then state = 'x' end
    rest = sub(rest, 15)
  end
  if sub(rest, 1, 1) == 'u' then free_unique(sub(rest, 2), key) end
  unmark(key)
  call('ZADD', p..'c', number(t), key)
  tell(key, tracked(key) and store(state, byte(m, 1), key, NOBODY, byte(m, 2), t, ''))
  return state == 'c' and 'cancelled' or 'expired'
end

-- running -> ready (or dead, cancelled): takes an element from a worker that will not end it.
local function hand_back(e, key, count_deliveries, t)
  if call('HDEL', p..'cr', key) == 1 then
    end_element(e, 'c', t)
    return 'buried'
  end
  if count_deliveries then
    local deliveries = byte(e, 1) + 1
    e = char(deliveries)..sub(e, 2)
    if deliveries >= byte(e, 5) then
      bury(e, 'crashed', t)
      return 'buried'
    end
  else
    e = '\0'..sub(e, 2)
  end
  push_first(e)
  return 'reclaimed'
end

-- {ready, scheduled, retrying, running, dead}.
local function counts()
  local ready, running = ready_count() - call('ZCARD', p..'c'), 0
  for _, owner in ipairs(owners()) do
    local fields = call('HGETALL', p..'idx:'..owner)
    for i = 1, #fields, 2 do
      if byte(fields[i]) ~= 107 then running = running + held_count(fields[i + 1]) end
    end
  end
  return {ready, call('HLEN', p..'dueb'), call('HLEN', p..'retryb'), running, call('HLEN', p..'dead')}
end

-- Hands back what an owner holds, up to `limit` tasks or about a mebibyte; says what became of it, and whether anything
-- is left.
local function drain_owner(owner, limit, count_deliveries, t)
  local own, idx = p..'own:'..owner, p..'idx:'..owner
  local batches, elements, keys, ended, bytes = {}, {}, {}, {}, 0
  -- The names of further parts are no numbers.
  for _, field in ipairs(call('HKEYS', own)) do batches[#batches + 1] = tonumber(field) end
  -- The oldest tasks come to stand before all others, so the newest go back first.
  table.sort(batches, function(a, b) return a > b end)
  while #ended < #batches and #keys < limit and bytes < 1048576 do
    local batch = number(batches[#ended + 1])
    local index = call('HGET', idx, batch) or '\0\1'
    local row = row_of(owner, batch, index)
    local held, positions, from = {}, {}, nil
    bytes = bytes + #row
    each_held(row, index, function(e, at) held[#held + 1] = {e, at} end)
    from = math.max(1, #held - (limit - #keys) + 1)
    for i = from, #held do
      local key = key_of(held[i][1])
      keys[#keys + 1] = key
      elements[key] = held[i][1]
      positions[#positions + 1] = char(held[i][2])
    end
    ended[#ended + 1] = {batch, index, table.concat(positions), from == 1}
  end
  local counts = {reclaimed = 0, buried = 0}
  if #ended == 0 then return counts, false end
  table.sort(keys, function(a, b) return a > b end)
  -- Whoever may not take away must not put back either, or a task would be in two places.
  call('HDEL', own, '')
  if #keys > 0 and call('EXISTS', p..'pg') == 1 then call('HDEL', p..'pg', unpack(keys)) end
  for _, key in ipairs(keys) do
    local became = hand_back(elements[key], key, count_deliveries, t)
    counts[became] = counts[became] + 1
  end
  for _, part in ipairs(ended) do
    if part[4] then
      forget_batch(owner, part[1], part[2])
    else
      let_go(owner, part[1], part[2], part[3])
    end
  end
  return counts, call('EXISTS', own) == 1
end

-- One that was cancelled while ready is known until a claim has dropped it: two of one key in the lists cannot be told apart.
local function is_known_task(key, t)
  return marker(key) or call('HEXISTS', p..'dead', key) == 1 or record(key, t) ~= nil
    or call('ZSCORE', p..'c', key)
end

-- The task that holds a unique key.
local function unique_holder(unique, t)
  local held = call('HGET', p..'u', unique)
  if held then return held end
  local timed = call('GET', p..'ut:'..unique)
  if timed and tonumber(sub(timed, 1, 14)) > t then return sub(timed, 15) end
  return nil
end

-- Takes a unique key; answers who keeps it, or whom it was taken from.
local function take_unique(kind, millis, conflict, unique, key, t)
  local holder, replaced = unique_holder(unique, t), nil
  if holder then
    if conflict == 's' then return holder end
    local m = end_waiting(holder, t)
    if m == 'running' or m == nil then return holder end
    replaced = holder
  end
  if kind == 'a' then
    call('SET', p..'ut:'..unique, string.format('%014.0f', t + millis)..key, 'PX', number(millis + 60000))
  else
    call('HSET', p..'u', unique, key)
    call('DEL', p..'ut:'..unique)
  end
  return nil, replaced
end

-- new -> ready or scheduled: accepts ARGV from `first` to `last`, nine for each task as `enqueue_each.lua` has them. Answers
-- what became of each, and notes in `news` what the bells are to be rung for.
local function accept_each(first, last, t, news)
  local answers = {}
  for i = first, last, 9 do
    local e, key, at = ARGV[i], nil, nil
    key, at = key_of(e)
    local held, replaced
    if ARGV[i + 5] == '1' and is_known_task(key, t) then
      answers[#answers + 1] = {'d'}
    else
      if ARGV[i + 6] ~= '-' then
        local conflict = sub(ARGV[i + 8], 1, 1)
        held, replaced = take_unique(ARGV[i + 6], tonumber(ARGV[i + 7]), conflict, sub(ARGV[i + 8], 2), key, t)
      end
      if held then
        answers[#answers + 1] = {'h', held}
      else
        if ARGV[i + 3] ~= '-' then
          local expires = tonumber(ARGV[i + 4])
          if ARGV[i + 3] == 'a' then expires = expires + t end
          e = sub(e, 1, at - 1)..string.format('%014.0f', math.max(expires, 0))..sub(e, at + 14)
        end
        local starts = t
        if ARGV[i + 1] == 'a' then starts = t + tonumber(ARGV[i + 2]) end
        if ARGV[i + 1] == 't' then starts = tonumber(ARGV[i + 2]) end
        if starts > t then
          news.before = news.before or next_due()
          if put_due('due', e, starts, news.before) then news.before, news.alarm = starts, true end
        else
          if needs_marker(e) then call('HSET', p..'m', key, marker_of(e)) end
          push_last(e)
          news.ready = true
        end
        answers[#answers + 1] = replaced and {'r', replaced} or {'c'}
      end
    end
  end
  return answers
end

-- Whether this queue has seen a greater token of a leader; keeps the greater one.
local function is_old_token(token)
  local seen, shown = tonumber(call('GET', p..'fence') or 0), tonumber(token)
  if shown > seen then call('SET', p..'fence', token) end
  return shown < seen
end
