/** Whether a target could climb out of a base path. It is compared decoded and forwarded raw, or not at all. */

/** `.` and `..`, literally or percent-encoded, each also as part of a backslash path. */
const DOT_SEGMENT = /(^|[/\\]|%2f|%5c)(\.|%2e){1,2}($|[/\\?#;]|%2f|%5c)/i;

export function climbsOut(target: string): boolean {
  const query = target.indexOf('?');
  return DOT_SEGMENT.test(query === -1 ? target : target.slice(0, query));
}
