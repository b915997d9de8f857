import { describe, expect, it } from 'vitest';
import { REASONS, isReason, reasonOfCancel } from '../../src/core/reasons.ts';

describe('reasons', () => {
  it('each have an error status, a proxy error type and a sentence', () => {
    for (const { status, proxyError, title } of Object.values(REASONS)) {
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(600);
      expect(proxyError).toMatch(/^[a-z_]+$/);
      expect(title).toMatch(/^[A-Z].*\.$/);
    }
  });

  it('are known by their own names only', () => {
    expect(isReason('circuit_open')).toBe(true);
    for (const text of ['', 'toString', '__proto__', 'CIRCUIT_OPEN']) expect(isReason(text)).toBe(false);
  });

  it('tell which bound was passed, and of both total bounds the same', () => {
    expect(reasonOfCancel('connect-timeout')).toBe('connection_timeout');
    expect(reasonOfCancel('first-byte-timeout')).toBe('first_byte_timeout');
    expect(reasonOfCancel('idle-timeout')).toBe('idle_timeout');
    expect(reasonOfCancel('deadline')).toBe('deadline_exceeded');
    expect(reasonOfCancel('caller-deadline')).toBe('deadline_exceeded');
  });

  it('are a gateway timeout for every bound of ours', () => {
    for (const name of ['connection_timeout', 'first_byte_timeout', 'idle_timeout', 'write_timeout'] as const)
      expect(REASONS[name].status).toBe(504);
    expect(REASONS.deadline_exceeded.status).toBe(504);
  });
});
