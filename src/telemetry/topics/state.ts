/** What outlives a restart: when it was written, and what became of it at the start. */
import { CounterFamily } from '../cells.ts';
import { gauge } from '../topic.ts';
import type { Topic } from '../topic.ts';

/** Names of parts that a log line holds at most. */
const MAX_NAMES = 50;

const namesIn = (parts: readonly string[]): readonly string[] => parts.slice(0, MAX_NAMES);

export const state: Topic = {
  metrics(bus, registry) {
    const writes = new CounterFamily(registry, {
      name: 'outrigger_state_writes_total',
      help: 'Snapshots of what was learnt, by what became of them.',
      labels: ['result'],
    });
    const parts = new CounterFamily(registry, {
      name: 'outrigger_state_parts_total',
      help: 'Parts for which an earlier process left something, by what became of it.',
      labels: ['result'],
    });
    const unused = new CounterFamily(registry, {
      name: 'outrigger_state_unused_total',
      help: 'Snapshots that were found and not used, by why.',
      labels: ['why'],
    });
    bus.on('state-written', () => writes.add(['written']));
    bus.on('state-failed', () => writes.add(['failed']));
    bus.on('state-restored', ({ restored, ignored }) => {
      parts.add(['restored'], restored.length);
      parts.add(['ignored'], ignored.length);
    });
    bus.on('state-set-aside', ({ why }) => unused.add([why]));
    bus.on('state-too-old', () => unused.add(['too-old']));
  },

  gauges(registry, states, bus) {
    let last = { at: 0, bytes: 0 };
    bus.on('state-written', ({ bytes }) => {
      last = { at: states.wallTime().getTime() / 1_000, bytes };
    });
    gauge(
      registry,
      'outrigger_state_written_timestamp_seconds',
      'When the snapshot of what was learnt was written.',
      () => last.at,
    );
    gauge(registry, 'outrigger_state_bytes', 'Size of that snapshot.', () => last.bytes);
  },

  log(bus, log) {
    bus.on('state-restored', ({ file, ageMs, restored, ignored }) => {
      log.info({ file, ageMs, restored: namesIn(restored) }, 'state restored');
      if (ignored.length > 0)
        log.warn({ file, parts: namesIn(ignored) }, 'state of these parts is not understood');
    });
    bus.on('state-too-old', ({ file, ageMs }) => log.warn({ file, ageMs }, 'state is too old'));
    bus.on('state-set-aside', ({ file, why, message, to }) =>
      log.warn({ file, why, message, to }, 'state cannot be read; starting without'),
    );
    bus.on('state-written', ({ bytes, parts, recovered }) => {
      if (recovered) log.info({ bytes, parts }, 'state is written again');
    });
    bus.on('state-failed', ({ dir, message, again }) => {
      if (!again) log.error({ dir, message }, 'state is not written');
    });
    bus.on('state-locked', ({ dir, pid, host }) =>
      log.error({ dir, pid, host }, 'state belongs to another process'),
    );
  },

  journal(bus, note) {
    bus.on('state-restored', ({ ageMs, restored, ignored }) =>
      note('state-restored', undefined, { ageMs, restored: restored.length, ignored: ignored.length }),
    );
    bus.on('state-too-old', ({ ageMs }) => note('state-too-old', undefined, { ageMs }));
    bus.on('state-set-aside', ({ why, to = '' }) => note('state-set-aside', undefined, { why, to }));
    bus.on('state-written', ({ bytes, recovered }) => {
      if (recovered) note('state-written', undefined, { bytes });
    });
    bus.on('state-failed', ({ message, again }) => {
      if (!again) note('state-failed', undefined, { message });
    });
    bus.on('state-locked', ({ pid, host }) => note('state-locked', undefined, { pid, host }));
  },
};
