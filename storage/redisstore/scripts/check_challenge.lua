-- A code was typed. One step: the limits are taken, all or none; the try is
-- counted and written; only then the MACs are compared, so that parallel guesses
-- can't share a try (security.md row 6) and a right code is spent once (row 7).
--
-- The comparison need not take constant time (row 33): both sides are
-- HMAC-SHA-256 under a key that no one outside has. Who times it learns how many
-- bytes two MACs share, and can't choose or know the MAC of any guess, nor of
-- the code; and every measurement costs one of the few tries.
--
-- KEYS[1] challenge   KEYS[2] guess bucket   KEYS[3] refundable
-- KEYS[4...] limits, then refunds
-- ARGV[1] now   [2] MAC of the code typed, empty: malformed   [3] length of a long code
--     [4] how many malformed codes are taken   [5] guess burst, 0: off   [6] guess every
--     [7] refundable burst, 0: off   [8] refundable every   [9] number of limits
--     [10...] burst and every of each limit, then of each refund.   Times are ms.
-- Returns {status, tries left, length}, or {"limited", 0, 0, index, retry at}.
local now = tonumber(ARGV[1])
local limits = tonumber(ARGV[9])
local after, refused, retry = peek(4, 10, limits, now)
if refused > 0 then
  return {'limited', 0, 0, refused, retry}
end
take(4, after, now)

local r = redis.call('HMGET', KEYS[1], 'l', 't', 'c', 'e', 'u', 'm', 'b')
if not r[1] then
  return {'gone', 0, 0}
end
local length, tries = tonumber(r[1]), tonumber(r[2])
local created, expires, used, mac = tonumber(r[3]), tonumber(r[4]), r[5], r[6]
if used then
  return {'used', 0, length}
end
-- The end of MaxLife is within "expires"; a code from the future was made before
-- the clock was set back (row 34).
if now >= expires or now < created - 30000 then
  return {'expired', tries, length}
end
if tries < 1 or not mac then
  return {'dead', 0, length}
end

if ARGV[2] == '' then
  local malformed = redis.call('HINCRBY', KEYS[1], 'b', 1)
  if malformed >= tonumber(ARGV[4]) then
    tries = 0
    redis.call('HSET', KEYS[1], 't', '0')
  end
  return {'malformed', tries, length}
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
  return {'wrong', tries, length}
end

redis.call('HDEL', KEYS[1], 'm', 's', 'b', 'f', 'w')
redis.call('HSET', KEYS[1], 'u', '1', 't', '0')
local refunds = #KEYS - 3 - limits
if refunds > 0 then
  local refundable = true
  if tonumber(ARGV[7]) > 0 then
    local left, none = peek(3, 7, 1, now)
    refundable = none == 0
    if refundable then take(3, left, now) end
  end
  for i = 1, refunds do
    if refundable then
      give(KEYS[3 + limits + i], tonumber(ARGV[9 + 2 * (limits + i)]), now)
    end
  end
end
return {'ok', 0, length}
