#!lua flags=allow-oom
-- ready, scheduled, retrying -> cancelled, those first that would start next; -> expired where that time is over.
-- ARGV: most tasks. Answer: {how many went, 1 if more is left}. It may stop short of the most: after many bytes, or
-- after many that were cancelled before and still stood in a list.
local limit, t = tonumber(ARGV[1]), now()
local cancelled, cancelled_untracked = call('EXISTS', p..'c') == 1, call('EXISTS', p..'cu') == 1
local told, seen, purged, entries, bytes = call('EXISTS', p..'w') == 1, 0, 0, 0, 0

-- What a step ends: siblings that end alike, by what they have in common; all others as elements; traces of what was
-- cancelled before; and untracked keys of which only their waiters know.
local alike, others, traces, traces_untracked, silent

local function begin() alike, others, traces, traces_untracked, silent = {}, {}, {}, {}, {} end

local function add_sibling(family, which, class, attempts)
  local name = family..char(class, attempts)
  local group = alike[name]
  if not group then
    group = {family = family, class = class, attempts = attempts, entries = {}, bits = {}, last = 0}
    alike[name] = group
  end
  group.entries[#group.entries + 1] = char(which)..'\0\0\0'
  local octet = math.floor(which / 8)
  group.bits[octet] = bit.bor(group.bits[octet] or 0, bit.lshift(1, which % 8))
  group.last = math.max(group.last, octet)
end

-- Whether a key was cancelled while it stood in a list.
local function is_trace(key)
  if cancelled and call('ZSCORE', p..'c', key) then traces[#traces + 1] = key return true end
  if cancelled_untracked and call('ZSCORE', p..'cu', key) then
    traces_untracked[#traces_untracked + 1] = key
    return true
  end
  return false
end

-- Puts each element of a row where it belongs, as long as there is room; answers what is left of the row. What is no
-- element, whoever wrote it, goes without a word. The first element begins at `at`.
local function see(row, at)
  repeat
    if seen == limit then return sub(row, at) end
    local _, version, flags, _, _, class, attempts, x, y, z, k = byte(row, at, at + 10)
    local length = k and x * 65536 + y * 256 + z
    seen = seen + 1
    if not length or length <= 11 + k or at + length - 1 > #row or version > 31 or flags > 15 or not CLASSES[class] then
      purged = purged + 1
      return nil
    end
    local key = sub(row, at + 11, at + 10 + k)
    if not is_trace(key) then
      purged = purged + 1
      local family, which = family_of(key)
      if flags == 1 and family then
        add_sibling(family, which, class, attempts)
      elseif flags ~= 0 then
        others[#others + 1] = sub(row, at, at + length - 1)
      elseif told then
        silent[#silent + 1] = key
      end
    end
    at = at + length
  until at > #row
  return nil
end

local function end_alike(group)
  local family, entries, mask = group.family, table.concat(group.entries), {}
  for octet = 0, group.last do mask[octet + 1] = char(group.bits[octet] or 0) end
  local name = bucket(group.class, t, 0, shard(family..'\0'))
  keep('c', name, family, NOBODY, group.attempts, t, entries)
  touch(name, group.class, t)
  unmark_siblings(family, table.concat(mask), entries)
  if not told then return end
  local record = 'c'..NOBODY..group.attempts..':'..number(t)..':'
  for i = 1, #group.entries do tell(family..sub(group.entries[i], 1, 1), record) end
end

local function end_all()
  for _, group in pairs(alike) do end_alike(group) end
  for _, e in ipairs(others) do end_element(e, expired(e, t) and 'x' or 'c', t) end
  for _, key in ipairs(silent) do tell(key) end
  if #traces > 0 then call('ZREM', p..'c', unpack(traces)) end
  if #traces_untracked > 0 then call('ZREM', p..'cu', unpack(traces_untracked)) end
end

-- How many entries come next: few at first, then as many as should fit, since how long they are is seen only when they
-- are here.
local function next_step(step)
  if seen == 0 then return step end
  local fit = math.floor((1048576 - bytes) * entries / bytes)
  return math.max(1, math.min(4 * step, fit, math.ceil((limit - seen) * entries / seen)))
end

-- Takes entries from the ready lists. What was popped is put back if it cannot be ended for want of a right: it must not
-- be nowhere.
local function purge_ready()
  begin()
  local popped, extra, step = {}, 0, 4
  while seen < limit and bytes < 1048576 do
    local found = call('LMPOP', 10, READY[1], READY[2], READY[3], READY[4], READY[5], READY[6], READY[7], READY[8],
      READY[9], READY[10], 'RIGHT', 'COUNT', step)
    if not found then break end
    popped[#popped + 1] = found
    for i, row in ipairs(found[2]) do
      local before, rest = seen, row
      if seen < limit then
        bytes, entries = bytes + #row, entries + 1
        rest = see(row, 1)
        extra = extra + seen - before - (rest and 0 or 1)
      end
      if rest then
        -- Only the last of what was popped can have a rest, or have been left alone.
        local back = {}
        for n = #found[2], i + 1, -1 do back[#back + 1] = found[2][n] end
        back[#back + 1] = rest
        call('RPUSH', found[1], unpack(back))
        for n = #found[2], i + 1, -1 do found[2][n] = nil end
        found[2][i] = #rest < #row and sub(row, 1, #row - #rest) or nil
        break
      end
    end
    step = next_step(step)
  end
  local ended, failure = pcall(end_all)
  if not ended then
    for i = #popped, 1, -1 do
      for n = #popped[i][2], 1, -1 do call('RPUSH', popped[i][1], popped[i][2][n]) end
    end
    error(failure)
  end
  local no_rows = extra > 0 and call('DECRBY', p..'x', extra) == 0
  if no_rows or call('EXISTS', unpack(READY)) == 0 then call('DEL', p..'x') end
end

-- Ends what waits for its time, chunk by chunk: first it is ended, then it is no longer there.
local function purge_due(set)
  local step = 32
  while seen < limit and bytes < 1048576 do
    local chunk = call('ZRANGE', p..set, 0, 0)[1]
    if not chunk then return end
    begin()
    local keys = call('ZRANGE', p..set..':'..chunk, 0, math.min(step, limit - seen) - 1)
    local stored = #keys > 0 and call('HMGET', p..set..'b', unpack(keys)) or {}
    for i = 1, #keys do
      if stored[i] then
        bytes, entries = bytes + #stored[i], entries + 1
        see(stored[i], 5)
      end
    end
    end_all()
    if #keys > 0 then
      call('ZREM', p..set..':'..chunk, unpack(keys))
      call('HDEL', p..set..'b', unpack(keys))
    end
    tidy_chunk(set, chunk)
    step = next_step(step)
  end
end

-- Whoever may not take away must not end anything either.
call('HDEL', p..'mc', '')
call('ZREM', p..'c', '')
purge_ready()
purge_due('due')
purge_due('retry')
local more = call('EXISTS', p..'due', p..'retry', unpack(READY)) > 0
return {purged, more and 1 or 0}
