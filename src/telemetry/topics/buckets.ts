/** Bounds of histograms, in seconds. */

/** From a cache-quick answer to a ten-minute completion. */
export const DURATION_BUCKETS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 600,
];
