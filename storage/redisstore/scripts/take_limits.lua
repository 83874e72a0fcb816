-- One is taken from every limit, or from none.
--
-- KEYS[...] limits   ARGV[1] now   [2...] burst and every of each limit, in ms.
-- Returns {1, the times of the limits}, or {0, index of the refusing limit, retry at}.
local now = tonumber(ARGV[1])
local after, refused, retry = peek(1, 2, #KEYS, now)
if refused > 0 then
  return {0, refused, retry}
end
take(1, after, now)
return {1, after}
