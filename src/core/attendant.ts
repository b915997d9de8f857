/** Works beside the calls of an upstream, for as long as its configuration is in force: health checks, statistics. */
export interface Attendant {
  /** Its configuration is in force. Called once. */
  start(): void;
  /** Another configuration is in force; nothing of it runs on. Idempotent, also without a start. */
  stop(): void;
}
