/**
 * What a few calls prove about the share of calls that fail. Normal approximations of the usual kind call one failure of one
 * call 100 %; score intervals hold from the first call on.
 *
 * @see Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927), 209–212
 * @see Newcombe, "Interval Estimation for the Difference Between Independent Proportions: Comparison of Eleven Methods",
 *   Statistics in Medicine 17 (1998), 873–890 (method 10)
 */

export interface Tried {
  readonly calls: number;
  readonly failures: number;
}

/**
 * Quantile of the normal distribution that all bounds here use: 99.5 % on one side. Measured with two equal endpoints
 * and five calls a minute, looked at after every failure (test/algorithms/outlier-rules.test.ts).
 */
const Z = 2.576;

/** Wilson's score interval. @returns 0 to 1 where there were no calls */
function scoreInterval(
  { calls, failures }: Tried,
  z: number,
): { readonly low: number; readonly high: number } {
  if (calls === 0) return { low: 0, high: 1 };
  const share = failures / calls;
  const z2 = z * z;
  const scale = 1 + z2 / calls;
  const middle = (share + z2 / (2 * calls)) / scale;
  const half = (z * Math.sqrt((share * (1 - share)) / calls + z2 / (4 * calls * calls))) / scale;
  return { low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/**
 * The share of failures is at least this.
 * @param z how sure that is, as a quantile of the normal distribution
 * @returns 0–1
 */
export const provenShare = (tried: Tried, z = Z): number => scoreInterval(tried, z).low;

/**
 * The share of failures of one is higher than that of others by at least this.
 * @returns -1 to 1; 0 or less where nothing is proven
 */
export function provenDifference(one: Tried, others: Tried, z = Z): number {
  if (one.calls === 0 || others.calls === 0) return -1;
  const [p1, p2] = [one.failures / one.calls, others.failures / others.calls];
  return p1 - p2 - Math.hypot(p1 - scoreInterval(one, z).low, scoreInterval(others, z).high - p2);
}
