/**
 * What Redis does in one step with the key of a call. A key is a hash: `s` is running (`r`), answered (`a`), answered
 * and not kept (`n`) or unknown (`u`); `f` the request's fingerprint, `t` the claim's token, `o` whose it is, `l` the
 * instant by Redis's own clock to which it holds, `b` the result. It expires as its first claim said, but not while it
 * runs.
 */
import { redisScript } from './script.ts';

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local key = KEYS[1]
`;

/**
 * Arguments: token, owner, fingerprint, lease, time to live, whether to run again what is unknown. An owner that asks for
 * a key that is its own already has lost the reply to its claim: within one process calls with one key go one by one.
 * It has run nothing then, however long ago that was.
 */
export const CLAIM = redisScript(
  'idempotency-claim',
  `${NOW}
local known = redis.call('HMGET', key, 's', 'f', 'o', 'l', 'b')
local state, owner = known[1], known[3]
if state == 'r' and owner ~= ARGV[2] and tonumber(known[4]) <= now then
  redis.call('HSET', key, 's', 'u', 'b', 'lost')
  state, known[5] = 'u', 'lost'
end
local free = not state or (state == 'r' and owner == ARGV[2]) or (state == 'u' and ARGV[6] == '1')
if not free then return { state, known[2], known[5] or '' } end
redis.call('HSET', key, 's', 'r', 't', ARGV[1], 'o', ARGV[2], 'f', ARGV[3], 'l', string.format('%.0f', now + ARGV[4]))
redis.call('HDEL', key, 'b')
if not state then redis.call('PEXPIRE', key, math.max(ARGV[4], ARGV[5])) end
return { 'mine' }`,
);

/**
 * Arguments: token, owner, fingerprint, lease, what is left of the time to live. A claim that Redis has lost, or never
 * got, is made up for.
 */
export const RENEW = redisScript(
  'idempotency-renew',
  `${NOW}
local token, state = unpack(redis.call('HMGET', key, 't', 's'))
if token and (token ~= ARGV[1] or (state ~= 'r' and state ~= 'u')) then return 0 end
redis.call('HSET', key, 's', 'r', 't', ARGV[1], 'o', ARGV[2], 'f', ARGV[3], 'l', string.format('%.0f', now + ARGV[4]))
if not token or redis.call('PTTL', key) < tonumber(ARGV[4]) then
  redis.call('PEXPIRE', key, math.max(ARGV[4], ARGV[5]))
end
return 1`,
);

/** Arguments: token, owner, fingerprint, what is left of the time to live, state, result. */
export const COMPLETE = redisScript(
  'idempotency-complete',
  `
local key = KEYS[1]
local token = redis.call('HGET', key, 't')
if token and token ~= ARGV[1] then return 0 end
redis.call('HSET', key, 's', ARGV[5], 't', ARGV[1], 'o', ARGV[2], 'f', ARGV[3], 'b', ARGV[6])
if not token or redis.call('PTTL', key) > tonumber(ARGV[4]) then redis.call('PEXPIRE', key, ARGV[4]) end
return 1`,
);

/** Argument: token. */
export const RELEASE = redisScript(
  'idempotency-release',
  `
if redis.call('HGET', KEYS[1], 't') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`,
);
