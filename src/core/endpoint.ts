/** One address of an upstream. */
export interface Endpoint {
  /** Its origin, numbered where several share one; the name in logs and metrics. */
  readonly name: string;
  /** `http://host:port` or `https://host:port`: where connections go. */
  readonly origin: string;
  /** Host field to send: host and, where it is not the scheme's own, port. */
  readonly host: string;
  /** Put before every target; empty or starting with `/` and not ending in it. */
  readonly basePath: string;
}
