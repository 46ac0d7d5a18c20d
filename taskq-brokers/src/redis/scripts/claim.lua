#!lua flags=allow-oom
-- ready -> running; expired ones -> expired. ARGV: owner, count.
-- Answer: {} if the lease is gone; else {milliseconds to the next due task or -1, batch, elements in a row}, and batch and
-- elements again of what was handed to the owner with a bell, in case that was not heard. It may stop short of the count:
-- after many that were cancelled or expired, or many bytes; then it says 0, claim again at once.
local owner, count = ARGV[1], tonumber(ARGV[2])
local t = now()
if not alive(owner, t) then return {} end
local answer = {-1, '0', ''}
local handed = call('GET', p..'hand:'..owner)
if handed then
  local colon = string.find(handed, ':', 1, true)
  answer[4], answer[5] = sub(handed, 1, colon - 1), sub(handed, colon + 1)
  -- Its ring is moot now; left there, the next wait would bring the task once more.
  call('DEL', p..'hand:'..owner, p..'bell:'..owner)
end
promote(t, 200)
local cancelled, cancelled_untracked = false, false
if call('EXISTS', p..'c', p..'cu') > 0 then
  cancelled, cancelled_untracked = call('EXISTS', p..'c') == 1, call('EXISTS', p..'cu') == 1
end
local watched = cancelled or cancelled_untracked
local elements, keys, taken, dropped, bytes = {}, {}, 0, 0, 0

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

-- Few at first, then as many as should fit: a script that moves megabytes holds up the server.
local step = 16
while taken < count and dropped < 200 and bytes < 1048576 do
  local popped = call('LMPOP', 10, READY[1], READY[2], READY[3], READY[4], READY[5], READY[6], READY[7], READY[8],
    READY[9], READY[10], 'RIGHT', 'COUNT', math.min(count - taken, step))
  if not popped then break end
  local found = popped[2]
  for i = 1, #found do
    local e = found[i]
    local _, version, flags, _, _, _, _, x, y, z, n = byte(e, 1, 11)
    if not n or version ~= 2 or x * 65536 + y * 256 + z ~= #e or #e <= 11 + n then
      e = headed(e)
      _, _, flags, _, _, _, _, _, _, _, n = byte(e, 1, 11)
    end
    local is_taken = true
    if flags > 1 or watched then
      local key = sub(e, 12, 11 + n)
      is_taken = not (watched or band(flags, 2) ~= 0) or passes(e, key)
      if is_taken and band(flags, 8) ~= 0 then free_unique(unique_of(e), key) end
    end
    if is_taken then
      taken = taken + 1
      elements[taken] = e
      keys[taken] = sub(e, 11, 11 + n)
    else
      dropped = dropped + 1
    end
    bytes = bytes + #e
  end
  step = math.max(1, math.floor((1048576 - bytes) * (taken + dropped) / bytes))
end
if taken > 0 then
  local row, batch = table.concat(elements), '0'
  local kept = redis.pcall('INCR', p..'seq')
  if type(kept) ~= 'table' then
    batch = number(kept)
    kept = redis.pcall('HSET', p..'own:'..owner, batch, row)
  end
  if type(kept) ~= 'table' then
    kept = redis.pcall('HSET', p..'idx:'..owner, batch, char(taken), 'k'..batch, table.concat(keys))
  end
  if type(kept) == 'table' then
    -- A right taken away must not lose what was popped.
    for i = taken, 1, -1 do push_first(elements[i]) end
    return kept
  end
  answer[2], answer[3] = batch, row
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
