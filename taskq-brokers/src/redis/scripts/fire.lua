-- Moves cursors, and new -> ready or scheduled for what their ticks enqueue.
-- ARGV: token of a leader, then for each tick: name, cursor, fire time, how many tasks, and nine for each task as
-- `enqueue_each.lua` has them.
-- Answer: {} if a greater token was seen; else for each tick {'u'} no such entry, {'m', where the cursor is}, {'e'} not due yet, {'p'}
-- paused, or {'a', and what `enqueue_each.lua` answers for each task}.
if is_old_token(ARGV[1]) then return {} end
local t, answers, news, i = now(), {}, {}, 2
while i <= #ARGV do
  local name, last = ARGV[i], i + 3 + 9 * tonumber(ARGV[i + 3])
  local kept, cursor, answer = call('HGET', p..'entry', name), call('HGET', p..'cursor', name), nil
  if not kept then
    answer = {'u'}
  elseif cursor ~= ARGV[i + 1] or tonumber(ARGV[i + 2]) <= tonumber(cursor) then
    answer = {'m', cursor}
  elseif tonumber(ARGV[i + 2]) > t then
    answer = {'e'}
  elseif sub(kept, 2, 2) == '1' then
    answer = {'p'}
  else
    answer = accept_each(i + 4, last, t, news)
    table.insert(answer, 1, 'a')
    -- After the tasks: if a right is missing half-way, the tick comes again and finds them known. The other way round it
    -- would be lost.
    call('HSET', p..'cursor', name, ARGV[i + 2])
    if last > i + 3 then call('HSET', p..'fired', name, ARGV[i + 2]) end
  end
  answers[#answers + 1] = answer
  i = last + 1
end
if news.ready or news.alarm then ring(t) end
return answers
