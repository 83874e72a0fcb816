-- A text is asked for. One step: the cooldown or a limit refuses and nothing
-- changes; or one is taken from every limit, and the live code is repeated with
-- the tries it has left, or a new code takes its place and the old one is dead.
-- A repeated code never gets its tries back, and neither touches the number's
-- guess budget (security.md rows 1-4).
--
-- KEYS[1] challenge   KEYS[2] guess bucket   KEYS[3] block   KEYS[4...] limits
-- ARGV[1] now   [2] id of this send   [3] number tag   [4] sealed context
--     [5] tries   [6] life   [7] max life   [8] repeat within   [9] keep
--     [10] cooldowns, comma separated   [11] guess burst, 0: off   [12] guess every
--     [13] short length [14] MAC [15] sealed   [16] long length [17] MAC [18] sealed
--     [19] failures of the block, 0: off   [20] how long it lasts
--     [21...] burst and every of each limit.   All times and durations are ms.
-- Returns {0, when each limit would be full again had it given one, index of the
--     refusing limit or 0 for the cooldown, retry at}, where the index of the block
--     follows that of the limits, or
--     {1, when each limit is full again, repeated, sealed code, MAC, length, tries,
--     created, expires, resend, resend hint, sends, the record before (field, value, ...)}.
local now = tonumber(ARGV[1])
local before = redis.call('HGETALL', KEYS[1])
local old = {}
for i = 1, #before, 2 do
  old[before[i]] = before[i + 1]
end

local limits = #KEYS - 3
local after, refused, retry, free = peek(4, 21, limits, now)
-- A used code has served: who logs in again waits for nothing that went before.
local sends, waits = tonumber(old.k) or 0, tonumber(old.r) or 0
if old.u then sends, waits = 0, 0 end
local _, blocked = failures(KEYS[3], tonumber(ARGV[19]), tonumber(ARGV[20]), now)
if blocked > 0 then
  return {0, after, limits + 1, math.max(blocked, retry)}
end
if now < waits and not old.f then
  return {0, after, 0, math.max(waits, retry)}
end
if refused > 0 then
  return {0, after, refused, retry}
end
take(4, after, now)

local created, tries = tonumber(old.c) or 0, tonumber(old.t) or 0
local length, mac, sealed = tonumber(old.l), old.m, old.s
local ends = created + tonumber(ARGV[7])
-- A code from the future was made before the clock was set back (row 34).
local repeats = mac and old.n == ARGV[3] and tries > 0
  and now < tonumber(old.e) and now >= created - 30000
  and ends - now >= tonumber(ARGV[8])

if not repeats then
  local code = 13
  if tonumber(ARGV[11]) > 0 then
    local _, recovers = guesses(KEYS[2])
    if now < recovers then code = 16 end
  end
  length, mac, sealed = tonumber(ARGV[code]), ARGV[code + 1], ARGV[code + 2]
  created, tries = now, tonumber(ARGV[5])
  ends = created + tonumber(ARGV[7])
  redis.call('DEL', KEYS[1])
end

sends = sends + 1
local expires = math.min(now + tonumber(ARGV[6]), ends)
local resend, nth = now, 0
for cooldown in string.gmatch(ARGV[10], '%d+') do
  nth = nth + 1
  if nth <= sends then resend = now + tonumber(cooldown) end
end
local hint = math.max(resend, free)

redis.call('HSET', KEYS[1], 'n', ARGV[3], 'x', ARGV[4], 'i', ARGV[2], 'm', mac, 's', sealed,
  'l', ms(length), 't', ms(tries), 'c', ms(created), 'e', ms(expires), 'r', ms(resend), 'k', ms(sends))
redis.call('HDEL', KEYS[1], 'f', 'w')
if hint > resend then
  redis.call('HSET', KEYS[1], 'w', ms(hint))
end
redis.call('PEXPIRE', KEYS[1], ms(math.max(expires, resend) + tonumber(ARGV[9]) - now))

return {1, after, repeats and 1 or 0, sealed, mac, length, tries, created, expires, resend, hint, sends, before}
