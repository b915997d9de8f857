/**
 * State changes and endings, each emitted once, by the code that made it happen. Metrics, logs, the journal and the
 * dashboard listen. Every module adds its own events to the map by declaration merging, beside the code that emits them.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface EventMap {}

export type EventName = keyof EventMap;

export type Emit = <N extends EventName>(name: N, event: EventMap[N]) => void;

/** Hears every event. Must not throw; if it does, the bus catches and counts it. */
export type AnyListener = <N extends EventName>(name: N, event: EventMap[N]) => void;
