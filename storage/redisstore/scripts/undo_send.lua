-- A text could not be handed over: its send costs nothing. Once only: the marker
-- (KEYS[2]) is set by the first call. What was taken from the limits is given
-- back. The record is touched only while this send is its last: a newer one
-- stays as it is. A code that was used meanwhile was delivered after all, and
-- nothing is undone.
--
-- Early: the record is again what it was before the send; a code that the send
-- made is gone. Late: its page was shown as sent, so the code stays, the send is
-- not counted and the next one is free. Tries that were used stay used.
--
-- KEYS[1] challenge   KEYS[2] marker   KEYS[3...] limits
-- ARGV[1] now   [2] id of the send   [3] 0: early, else what to write of the failure   [4] the code was repeated, 1 or 0
--     [5] life of the marker   [6] how many values follow
--     [7...] the record before the send (field, value, ...), then every of each limit.
-- Returns {1} when this call undid something, else {0}.
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[5]) then
  return {0}
end
local now, values = tonumber(ARGV[1]), tonumber(ARGV[6])
local last = redis.call('HMGET', KEYS[1], 'i', 'u')
local mine = last[1] == ARGV[2]
if mine and last[2] then
  return {0}
end
for i = 3, #KEYS do
  give(KEYS[i], tonumber(ARGV[4 + values + i]), now)
end
if not mine then
  return {1}
end

local late, repeated = ARGV[3] ~= '0', ARGV[4] == '1'
local old = {}
for i = 7, 6 + values, 2 do
  old[ARGV[i]] = ARGV[i + 1]
end

if not late and not repeated then
  local ttl = redis.call('PTTL', KEYS[1])
  redis.call('DEL', KEYS[1])
  for field, value in pairs(old) do
    redis.call('HSET', KEYS[1], field, value)
  end
  if values > 0 then
    redis.call('PEXPIRE', KEYS[1], ms(math.max(ttl, 1)))
  end
  return {1}
end

if old.u then old.k, old.r = nil, nil end
local fields = {'k', 'r', 'w'}
if repeated then
  fields = {'k', 'r', 'w', 'e', 'x', 'i', 'f'}
end
for _, field in ipairs(fields) do
  if old[field] then
    redis.call('HSET', KEYS[1], field, old[field])
  elseif field == 'k' or field == 'r' then
    redis.call('HSET', KEYS[1], field, '0')
  else
    redis.call('HDEL', KEYS[1], field)
  end
end
if late then
  redis.call('HDEL', KEYS[1], 'w')
  redis.call('HSET', KEYS[1], 'f', ARGV[3])
end
return {1}
