-- The generic cell rate algorithm (package passcode/limit is its specification),
-- put before each script that decides by limits. A bucket is one number: the
-- time in ms when it is full again; no key is a full bucket.

-- Redis would write 1.7e+12 otherwise.
local function ms(n) return string.format('%.0f', n) end

-- A full bucket is full now, and none is emptier than empty, even when the
-- clock was set back or the burst lowered.
local function within(tat, burst, every, now)
  tat = tonumber(tat) or 0
  if tat < now then return now end
  return math.min(tat, now + burst * every)
end

local function keep(key, tat, now)
  if tat > now then
    redis.call('SET', key, ms(tat), 'PX', ms(tat - now))
  else
    redis.call('DEL', key)
  end
end

-- peek looks at count buckets, KEYS[key...], whose burst and every are
-- ARGV[arg...] in pairs. It returns their times after taking one each, the index
-- of the one that refuses longest (0: none) with the time when it would not, and
-- the time when all would give yet another.
local function peek(key, arg, count, now)
  local after, refused, retry, free = {}, 0, 0, 0
  for i = 1, count do
    local burst, every = tonumber(ARGV[arg + 2 * i - 2]), tonumber(ARGV[arg + 2 * i - 1])
    local tat = within(redis.call('GET', KEYS[key + i - 1]), burst, every, now)
    local admits = tat - (burst - 1) * every
    if now < admits and admits > retry then
      refused, retry = i, admits
    end
    after[i] = tat + every
    free = math.max(free, admits + every)
  end
  return after, refused, retry, free
end

local function take(key, after, now)
  for i = 1, #after do
    keep(KEYS[key + i - 1], after[i], now)
  end
end

local function give(key, every, now)
  local tat = tonumber(redis.call('GET', key)) or 0
  if tat > now then
    keep(key, tat - every, now)
  end
end

-- A block is "<failures in a row>:<when they are forgotten>"; that many refuse
-- until then. It returns the failures, and when the block ends or 0.
local function failures(key, burst, every, now)
  local value = burst > 0 and redis.call('GET', key)
  if not value then return 0, 0 end
  local count, ends = string.match(value, '^(%d+):(%d+)$')
  count, ends = tonumber(count), math.min(tonumber(ends), now + every)
  if ends <= now then return 0, 0 end
  return count, count >= burst and ends or 0
end

-- fail counts one more.
local function fail(key, burst, every, now)
  if burst > 0 then
    local count = failures(key, burst, every, now)
    redis.call('SET', key, ms(count + 1) .. ':' .. ms(now + every), 'PX', ms(every))
  end
end

-- The guess bucket is "<full again at>:<recovers until, or 0>".
local function guesses(key)
  local value = redis.call('GET', key)
  if not value then return 0, 0 end
  local tat, recovers = string.match(value, '^(%d+):(%d+)$')
  return tonumber(tat), tonumber(recovers)
end

-- charge takes one guess, or what is left. It reports whether the bucket
-- recovers: it was emptied and is not yet half full.
local function charge(key, burst, every, now)
  local tat, recovers = guesses(key)
  local full = burst * every
  local recovering = now < recovers
  tat = math.min(within(tat, burst, every, now) + every, now + full)
  recovers = 0
  if recovering or tat > now + full - every then
    recovers = tat - math.floor(full / 2)
  end
  redis.call('SET', key, ms(tat) .. ':' .. ms(recovers), 'PX', ms(tat - now))
  return now < recovers
end

