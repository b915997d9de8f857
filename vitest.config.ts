import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two shared cores: real sockets and child processes want calm neighbours.
    maxWorkers: 2,
    // All waits are long enough for a busy machine; what holds is seen at once all the same.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 10_000, interval: 5 } },
    reporters: ['default', './test/support/closing-line-reporter.ts'],
  },
});
