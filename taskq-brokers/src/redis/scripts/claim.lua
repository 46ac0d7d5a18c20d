#!lua flags=allow-oom
-- ready -> running; expired ones -> expired. ARGV: owner, count.
-- Answer: {} if the lease is gone; else {token, milliseconds to the next due task or -1, elements...}. It may stop short of
-- the count: after many that were cancelled or expired, or many bytes; then it says 0, claim again at once.
local owner, count = ARGV[1], tonumber(ARGV[2])
local t = now()
if not alive(owner, t) then return {} end
promote(t, 100)
local token = call('INCR', p..'seq')
local own, prefix = p..'own:'..owner, struct.pack('>I8', token)
local cancelled = call('EXISTS', p..'c') == 1
local cancelled_untracked = call('EXISTS', p..'cu') == 1
local answer, taken, dropped, bytes = {token, -1}, 0, 0, 0

-- What is no element, whoever wrote it, gets a head: it becomes a dead letter, and nothing beside it is lost.
local function headed(e)
  local _, version, flags, priority, _, _, _, n = byte(e, 1, 8)
  local is_newer = n and version < 32 and flags < 16 and priority >= 48 and priority < 58 and #e > 8 + n
  if is_newer then return e end
  return '\0\1\0005\1\5\0('..redis.sha1hex(e)..e
end

-- Whether an element is to be handed out; ends it if not.
local function passes(e, key)
  if cancelled and call('ZREM', p..'c', key) == 1 then return false end
  if cancelled_untracked and call('ZREM', p..'cu', key) == 1 then return false end
  if expired(e, t) then end_element(e, 'x', t) return false end
  return true
end

-- Few at first, then as many as should fit: a script that moves megabytes holds up the server.
local step = 8
while taken < count and dropped < 200 and bytes < 1048576 do
  local popped = call('LMPOP', 10, READY[1], READY[2], READY[3], READY[4], READY[5], READY[6], READY[7], READY[8],
    READY[9], READY[10], 'RIGHT', 'COUNT', math.min(count - taken, step))
  if not popped then break end
  local fields = {}
  for _, e in ipairs(popped[2]) do
    local deliveries, version, flags, _, _, _, _, n = byte(e, 1, 8)
    if not n or version ~= 1 or #e <= 8 + n then
      e = headed(e)
      deliveries, version, flags, _, _, _, _, n = byte(e, 1, 8)
    end
    local key = sub(e, 9, 8 + n)
    if not (cancelled or cancelled_untracked or band(flags, 2) ~= 0) or passes(e, key) then
      if band(flags, 8) ~= 0 then free_unique(unique_of(e), key) end
      fields[#fields + 1] = key
      fields[#fields + 1] = prefix..char(deliveries + 1)..sub(e, 2)
      taken = taken + 1
      answer[taken + 2] = e
    else
      dropped = dropped + 1
    end
    bytes = bytes + #e
  end
  step = math.max(1, math.floor((1048576 - bytes) * (taken + dropped) / bytes))
  local kept = #fields == 0 or redis.pcall('HSET', own, unpack(fields))
  if type(kept) == 'table' then
    -- A right taken away must not lose what was popped.
    for i = taken + 2, taken + 3 - #fields / 2, -1 do push_first(answer[i]) end
    return kept
  end
end
local left = (taken == count or dropped >= 200 or bytes >= 1048576) and call('EXISTS', unpack(READY)) > 0
if taken == count then
  -- No free slot is left: a bell for this one would wake nobody.
  call('ZREM', p..'idle', owner)
  if left then ring(t) end
elseif left then
  answer[2] = 0
  return answer
else
  -- Free slots are left: ask to be woken.
  call('ZADD', p..'idle', number(t), owner)
end
local due = next_due()
if due then answer[2] = math.max(due - t, 0) end
return answer
