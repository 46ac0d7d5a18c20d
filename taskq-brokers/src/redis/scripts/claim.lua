#!lua flags=allow-oom
-- ready -> running; expired ones -> expired. ARGV: owner, count, number of the claim.
-- Answer: {} if the lease is gone or the owner has given this claim up; else {milliseconds to the next due task or -1, batch, its parts}, and batch and parts
-- again of what was handed to the owner with a bell, in case that was not heard. It may stop short of the count:
-- after many that were cancelled or expired, or many bytes; then it says 0, claim again at once.
local owner, count = ARGV[1], tonumber(ARGV[2])
local t = now()
if not alive(owner, t) then return {} end
local cancelled, cancelled_untracked = false, false
local paused = false
if call('EXISTS', p..'c', p..'cu', p..'over:'..owner, p..'paused') > 0 then
  if tonumber(ARGV[3]) <= tonumber(call('GET', p..'over:'..owner) or 0) then return {} end
  paused = call('EXISTS', p..'paused') == 1
  cancelled, cancelled_untracked = call('EXISTS', p..'c') == 1, call('EXISTS', p..'cu') == 1
end
local watched = cancelled or cancelled_untracked
local answer = {-1, '0', {}}
local handed = call('GET', p..'hand:'..owner)
if handed then
  local colon = string.find(handed, ':', 1, true)
  answer[4], answer[5] = sub(handed, 1, colon - 1), {sub(handed, colon + 1)}
  -- Its ring is moot now; left there, the next wait would bring the task once more.
  call('DEL', p..'hand:'..owner, p..'bell:'..owner)
end
if paused then
  -- It is woken when the queue is resumed; no due time could tell it more.
  call('ZADD', p..'asleep', number(t), owner)
  return answer
end
promote(t, 200)

-- What is taken: parts of `own`, and for each what `k` in `idx` tells of it. Loose elements, one from a row, become a part
-- together.
local parts, keys, loose = {}, {}, {}
local taken, dropped, bytes, extra = 0, 0, 0, 0

local function gather_loose()
  if #loose == 0 then return end
  parts[#parts + 1] = table.concat(loose)
  loose = {}
end

local function take_row(row)
  gather_loose()
  parts[#parts + 1] = row
  keys[#keys + 1] = '\15'..sub(row, 12, 26)
end

local function take_one(e)
  loose[#loose + 1] = e
  keys[#keys + 1] = sub(e, 11, 11 + byte(e, 11))
  taken = taken + 1
end

-- How many elements a row has, the flags of the first, and where the next one begins after `most` of them; nothing if it
-- is no row.
local function measure(row, most)
  local at, n, cut, first = 1, 0, nil, nil
  repeat
    if n == most then cut = at end
    local _, version, flags, _, _, _, _, x, y, z, k = byte(row, at, at + 10)
    local length = k and version == 2 and x * 65536 + y * 256 + z
    if not length or length <= 11 + k or at + length - 1 > #row then return nil end
    at, n, first = at + length, n + 1, first or flags
  until at > #row
  return n, first, cut
end

-- What is no element, whoever wrote it, gets a head: it becomes a dead letter, and nothing beside it is lost.
local function headed(e)
  local _, version, flags, priority, _, _, _, x, y, z, n = byte(e, 1, 11)
  local is_newer = n and version < 32 and flags < 16 and priority >= 48 and priority < 58 and #e > 11 + n
    and x * 65536 + y * 256 + z == #e
  if is_newer then return e end
  return '\0\2\0005\1\5\0'..sub(struct.pack('>I4', 51 + #e), 2)..'('..redis.sha1hex(e)..e
end

-- Whether an element is to be handed out; ends it if not.
local function passes(e, key)
  if cancelled and call('ZREM', p..'c', key) == 1 then return false end
  if cancelled_untracked and call('ZREM', p..'cu', key) == 1 then return false end
  if expired(e, t) then end_element(e, 'x', t) return false end
  return true
end

local function consider(e)
  local key, flags = key_of(e), byte(e, 3)
  if (watched or band(flags, 2) ~= 0) and not passes(e, key) then
    dropped = dropped + 1
    return
  end
  if band(flags, 8) ~= 0 then free_unique(unique_of(e), key) end
  take_one(e)
end

-- Takes a row, or what of it there is room for; answers what is left.
local function take(row)
  local n, flags, cut = measure(row, count - taken)
  bytes = bytes + #row
  if not n then return take_one(headed(row)) end
  local rest = cut and sub(row, cut)
  if cut then row, n, extra = sub(row, 1, cut - 1), count - taken, extra + 1 end
  extra = extra + n - 1
  if n > 1 and not watched then
    take_row(row)
    taken = taken + n
  elseif n == 1 and flags <= 1 and not watched then
    take_one(row)
  else
    each_held(row, char(n, 1), consider)
  end
  return rest
end

-- Few at first, then as many as should fit: a script that moves megabytes holds up the server, and how long rows are is
-- seen only when they are here.
local has_rows, emptied = call('EXISTS', p..'x') == 1, false
local step = has_rows and math.max(1, math.floor(count / 10)) or 16
while taken < count and dropped < 200 and bytes < 1048576 do
  local popped = call('LMPOP', 10, READY[1], READY[2], READY[3], READY[4], READY[5], READY[6], READY[7], READY[8],
    READY[9], READY[10], 'RIGHT', 'COUNT', math.min(count - taken, step))
  if not popped then emptied = true break end
  local list, rows, back, before = popped[1], popped[2], {}, taken + dropped
  for i = 1, #rows do
    local rest = rows[i]
    if taken < count then rest = take(rest) end
    if rest then table.insert(back, 1, rest) end
  end
  -- What was popped must not get lost for want of a right.
  if #back > 0 and type(redis.pcall('RPUSH', list, unpack(back))) == 'table' then
    call('LPUSH', list, unpack(back))
  end
  local each = (taken + dropped - before) / #rows
  local fit = math.floor((1048576 - bytes) * (taken + dropped) / bytes / each)
  step = math.max(1, math.min(has_rows and 4 * step or count, fit, math.floor((count - taken) / each)))
end
if extra > 0 and redis.pcall('DECRBY', p..'x', extra) == 0 or emptied and has_rows then call('DEL', p..'x') end
gather_loose()
if taken > 0 then
  local whole, batch, fields = char(taken, #parts), '0', {}
  local kept = next_number(t)
  if type(kept) ~= 'table' then
    batch = number(kept)
    for i, field in ipairs(parts_of(batch, whole)) do fields[2 * i - 1], fields[2 * i] = field, parts[i] end
    kept = redis.pcall('HSET', p..'own:'..owner, unpack(fields))
  end
  if type(kept) ~= 'table' then
    kept = redis.pcall('HSET', p..'idx:'..owner, batch, whole, 'k'..batch, table.concat(keys))
  end
  if type(kept) == 'table' then
    local elements = {}
    each_held(table.concat(parts), whole, function(e) elements[#elements + 1] = e end)
    for i = taken, 1, -1 do push_first(elements[i]) end
    return kept
  end
  answer[2], answer[3] = batch, parts
end
local left = (taken == count or dropped >= 200 or bytes >= 1048576) and call('EXISTS', unpack(READY)) > 0
if taken == count then
  -- No free slot is left: a bell for this one would wake nobody.
  call('ZREM', p..'idle', owner)
  if left then ring(t) end
elseif left then
  answer[1] = 0
  return answer
else
  -- Free slots are left: ask to be woken.
  call('ZADD', p..'idle', number(t), owner)
end
local due = next_due()
if due then answer[1] = math.max(due - t, 0) end
return answer
