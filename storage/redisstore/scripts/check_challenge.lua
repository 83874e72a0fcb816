-- A code was typed. One step: the limits are taken, all or none; the try is
-- counted and written; only then the MACs are compared, so that parallel guesses
-- can't share a try (security.md row 6) and a right code is spent once (row 7).
--
-- The comparison need not take constant time (row 33): both sides are
-- HMAC-SHA-256 under a key that no one outside has. Who times it learns how many
-- bytes two MACs share, and can't choose or know the MAC of any guess, nor of
-- the code; and every measurement costs one of the few tries.
--
-- KEYS[1] challenge   KEYS[2] guess bucket   KEYS[3] refundable   KEYS[4] block
-- KEYS[5...] limits, then refunds
-- ARGV[1] now   [2] MAC of the code typed, empty: malformed   [3] length of a long code
--     [4] how many malformed codes are taken   [5] guess burst, 0: off   [6] guess every
--     [7] refundable burst, 0: off   [8] refundable every
--     [9] failures of the block, 0: off   [10] how long it lasts   [11] number of limits
--     [12...] burst and every of each limit, then of each refund.   Times are ms.
-- Returns {status, tries left, length}, or {"limited", 0, 0, index, retry at}; the
--     index of the block follows that of the limits.
local now = tonumber(ARGV[1])
local most, lasts = tonumber(ARGV[9]), tonumber(ARGV[10])
local limits = tonumber(ARGV[11])
local after, refused, retry = peek(5, 12, limits, now)
local _, blocked = failures(KEYS[4], most, lasts, now)
if blocked > 0 then
  refused, retry = limits + 1, math.max(blocked, retry)
end
if refused > 0 then
  return {'limited', 0, 0, refused, retry}
end
take(5, after, now)

local function unproved(status, tries, length)
  fail(KEYS[4], most, lasts, now)
  return {status, tries, length}
end

local r = redis.call('HMGET', KEYS[1], 'l', 't', 'c', 'e', 'u', 'm', 'b')
if not r[1] then
  return {'gone', 0, 0} -- nobody guesses where no code is out
end
local length, tries = tonumber(r[1]), tonumber(r[2])
local created, expires, used, mac = tonumber(r[3]), tonumber(r[4]), r[5], r[6]
if used then
  return {'used', 0, length}
end
-- The end of MaxLife is within "expires"; a code from the future was made before
-- the clock was set back (row 34).
if now >= expires or now < created - 30000 then
  return unproved('expired', tries, length)
end
if tries < 1 or not mac then
  return unproved('dead', 0, length)
end

if ARGV[2] == '' then
  local malformed = redis.call('HINCRBY', KEYS[1], 'b', 1)
  if malformed >= tonumber(ARGV[4]) then
    tries = 0
    redis.call('HSET', KEYS[1], 't', '0')
  end
  return unproved('malformed', tries, length)
end

-- While the number's guess budget recovers, a code that is not long has one try.
local burst, every = tonumber(ARGV[5]), tonumber(ARGV[6])
local short = burst > 0 and length < tonumber(ARGV[3])
if short and tries > 1 then
  local _, recovers = guesses(KEYS[2])
  if now < recovers then tries = 1 end
end

tries = tries - 1
redis.call('HSET', KEYS[1], 't', ms(tries))

if ARGV[2] ~= mac then
  if burst > 0 and charge(KEYS[2], burst, every, now) and short and tries > 1 then
    tries = 1
    redis.call('HSET', KEYS[1], 't', '1')
  end
  return unproved('wrong', tries, length)
end

if most > 0 then redis.call('DEL', KEYS[4]) end
redis.call('HDEL', KEYS[1], 'm', 's', 'b', 'f', 'w')
redis.call('HSET', KEYS[1], 'u', '1', 't', '0')
local refunds = #KEYS - 4 - limits
if refunds > 0 then
  local refundable = true
  if tonumber(ARGV[7]) > 0 then
    local left, none = peek(3, 7, 1, now)
    refundable = none == 0
    if refundable then take(3, left, now) end
  end
  for i = 1, refunds do
    if refundable then
      give(KEYS[4 + limits + i], tonumber(ARGV[11 + 2 * (limits + i)]), now)
    end
  end
end
return {'ok', 0, length}
