/**
 * What registries do with the instances that they share, in one step.
 *
 * `items`: what is known of each, by `service/id`; its first letter says whether it is alive (A), down because its lease ran
 * out (E), or gone (D deregistered, X forgotten); those that are gone stay for the retention, so that everybody learns of
 * it. `order`: the revision of each. `leases`: when those that are alive run out. `ends`: when those that are not are
 * forgotten. `meta`: the newest revision, the epoch, the highest revision that was forgotten, and when somebody asked last.
 */
import { redisScript } from './script.ts';

/** Nobody can have told of a heartbeat while Redis was away; whoever comes back has so long to do it. */
const GRACE_MS = 30_000;
/** Registries ask twice a second: after so long without any, none was able to. */
const SILENCE_MS = 5_000;
/** Without any registry all of it goes. */
const KEEP_MS = 24 * 3_600_000;
/** Leases that one call lets run out, and changes that it tells. */
const PAGE = 250;

export const INSTANCES = redisScript(
  'instances',
  `
local items, order, leases, ends, meta = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local known_epoch, since, new_epoch = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local retention, most, continued = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local created = redis.call('HSETNX', meta, 'epoch', new_epoch)
local epoch = redis.call('HGET', meta, 'epoch')
local asked = tonumber(redis.call('HGET', meta, 'asked') or now)
if now - asked > ${SILENCE_MS} then redis.call('HSET', meta, 'grace', now + ${GRACE_MS}) end
redis.call('HSET', meta, 'asked', now)

local function changed(key)
  redis.call('ZADD', order, redis.call('HINCRBY', meta, 'revision', 1), key)
end
local function gone(key, value, letter)
  redis.call('HSET', items, key, letter .. string.sub(value, 2))
  redis.call('ZREM', leases, key)
  redis.call('ZADD', ends, now + retention, key)
  changed(key)
end
local function alive(key, text, lease)
  redis.call('ZADD', leases, now + lease, key)
  if redis.call('HGET', items, key) == 'A' .. text then return end
  redis.call('HSET', items, key, 'A' .. text)
  redis.call('ZREM', ends, key)
  changed(key)
end

local missing = {}
for i = 7, #ARGV, 4 do
  local what, key, lease, text = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  local value = redis.call('HGET', items, key)
  local letter = value and string.sub(value, 1, 1)
  if what == 'put' then
    if value or redis.call('HLEN', items) < most then alive(key, text, lease) end
  elseif what == 'keep' then
    if not value and redis.call('HLEN', items) < most then alive(key, text, lease) end
  elseif what == 'beat' then
    if letter == 'A' then
      redis.call('ZADD', leases, now + lease, key)
    elseif letter == 'E' then
      alive(key, text, lease)
    else
      missing[#missing + 1] = key
    end
  elseif letter == 'A' or letter == 'E' then
    gone(key, value, 'D')
  end
end

local expired = {}
if now >= tonumber(redis.call('HGET', meta, 'grace') or 0) then
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, ${PAGE})) do
    local value = redis.call('HGET', items, key)
    if value then
      gone(key, value, 'E')
      expired[#expired + 1] = key
    else
      redis.call('ZREM', leases, key)
    end
  end
end
for _, key in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, ${PAGE})) do
  local value = redis.call('HGET', items, key)
  if value and string.sub(value, 1, 1) == 'E' then
    gone(key, value, 'X')
  else
    local revision = tonumber(redis.call('ZSCORE', order, key) or 0)
    if revision > tonumber(redis.call('HGET', meta, 'floor') or 0) then
      redis.call('HSET', meta, 'floor', revision)
    end
    redis.call('HDEL', items, key)
    redis.call('ZREM', order, key)
    redis.call('ZREM', ends, key)
  end
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ${KEEP_MS}) end

local whole = 0
local floor = tonumber(redis.call('HGET', meta, 'floor') or 0)
if epoch ~= known_epoch or (since < floor and not continued) then since = 0 end
if since == 0 then whole = 1 end
local found = redis.call('ZRANGEBYSCORE', order, '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, ${PAGE})
local news = {}
for i = 1, #found, 2 do
  news[#news + 1] = found[i]
  news[#news + 1] = redis.call('HGET', items, found[i]) or 'X'
  since = tonumber(found[i + 1])
end
local newest = tonumber(redis.call('HGET', meta, 'revision') or 0)
local more = 0
if #found == 2 * ${PAGE} then more = 1 else since = newest end
return { epoch, created, string.format('%.0f', since), whole, more, missing, expired, news }`,
);
