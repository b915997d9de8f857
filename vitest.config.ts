import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two shared cores: real sockets and child processes want calm neighbours.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // Long enough for a busy machine; what holds is seen at once all the same.
    expect: { poll: { timeout: 10_000, interval: 5 } },
    reporters: ['default', './test/support/closing-line-reporter.ts'],
  },
});
