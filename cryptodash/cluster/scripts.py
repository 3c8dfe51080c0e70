"""What Redis does for us as one step. Always sent as text: what is sent by its digest is sent twice where Redis does
not know it (any more), and then behind what came after it."""

from __future__ import annotations

from typing import Final

GRANT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local owner = redis.call('GET', KEYS[1])
if owner then return {0, owner, now} end
if tonumber(ARGV[3]) > 0 and now > tonumber(ARGV[3]) then return {2, '', now} end
local fence = math.max(time[1] * 1000000 + time[2], tonumber(redis.call('GET', KEYS[2]) or '0') + 1)
local text = string.format('%.0f', fence)
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. text, 'PX', ARGV[2])
return {1, text, now}
"""
"""KEYS: lease, last fence. ARGV: process, ms, Redis's time (ms) until which it is meant, 0 for any. Gives a free lease:
{1, fence, Redis's time}, else {0, who has it, time}, or {2, nothing, time} where it comes too late. A fence is greater
than all before, also where Redis was emptied: then its clock is what has gone on."""

JOIN: Final = """
local found = redis.call('GET', KEYS[1])
if not found or found == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return found
"""
"""KEYS: what all have in common. ARGV: ours, ms. What was there, nil for nothing; ours is kept on where it is the same.
(SET with NX and GET together would be Redis 7.)"""

RENEW: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
"""KEYS: lease. ARGV: ``process:fence``, ms. 0: it is another's, or nobody's."""

RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
"""KEYS: lease. ARGV: ``process:fence``."""

PUBLISH: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for at = 3, #ARGV do redis.call('PUBLISH', ARGV[2], ARGV[at]) end
return 1
"""
"""KEYS: lease. ARGV: ``process:fence``, channel, payloads. 0: the lease is not ours, and nobody was told anything."""

STORE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""
"""KEYS: lease, key. ARGV: ``process:fence``, value."""
