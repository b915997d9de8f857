/** What works for an upstream beside its calls. */
export interface Attendant {
  /** The configuration that it belongs to is in force. */
  start(): void;
  /** It is not any more. */
  stop(): void;
}
