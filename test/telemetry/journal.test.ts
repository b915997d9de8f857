import { describe, expect, it } from 'vitest';
import { Bus } from '../../src/telemetry/bus.ts';
import { Journal } from '../../src/telemetry/journal.ts';
import { FakeClock } from '../support/fake-clock.ts';

function journalOn(clock = new FakeClock()) {
  const bus = new Bus();
  const journal = new Journal(clock);
  journal.listen(bus);
  const register = (count: number, service = 'search'): void => {
    for (let at = 1; at <= count; at++)
      bus.emit('instance-registered', {
        ...{ service, instance: `i-${at}`, here: true, url: 'http://127.0.0.1:9', status: 'up' },
      });
  };
  const told = (): string[] =>
    journal
      .entries()
      .map(({ detail }) => `${String(detail['instance'])} ${String(detail['times'] ?? 'alone')}`);
  return { bus, journal, clock, register, told };
}

describe('the journal', () => {
  it('tells of a few instances one by one', () => {
    const { register, told } = journalOn();
    register(3);
    expect(told()).toEqual(['i-1 alone', 'i-2 alone', 'i-3 alone']);
  });

  it('has four entries for a fleet that registers at once, by service, and keeps what it held before', () => {
    const { bus, journal, register, told } = journalOn();
    bus.emit('registry-full', { limit: 'maxServices', service: 'x', refused: 1 });
    register(5_000);
    register(4, 'other');
    expect(told().slice(1)).toEqual([
      ...['i-1 alone', 'i-2 alone', 'i-3 alone', 'i-5000 5000'],
      ...['i-1 alone', 'i-2 alone', 'i-3 alone', 'i-4 4'],
    ]);
    expect(journal.entries()[0]?.event).toBe('registry-full');
  });

  it('begins anew ten seconds after the first of a crowd, and keeps the entry that stood for it', async () => {
    const { clock, journal, register, told } = journalOn();
    const since = clock.wallTime().toISOString();
    register(10);
    await clock.advance(9_999);
    register(10);
    expect(journal.entries().at(-1)?.detail).toMatchObject({ times: 20, since });
    await clock.advance(1);
    register(1);
    expect(told()).toEqual(['i-1 alone', 'i-2 alone', 'i-3 alone', 'i-10 20', 'i-1 alone']);
  });

  it('tells whoever reads on of each further one, oldest first', () => {
    const { journal, register } = journalOn();
    register(10);
    const lastId = journal.entries().at(-1)?.id ?? 0;
    expect(lastId).toBe(10);
    register(2);
    expect(journal.entries(lastId).map(({ id, detail }) => [id, detail['times']])).toEqual([[12, 12]]);
  });

  it('of crowds of many names keeps no more than its limit', () => {
    const { journal, register } = journalOn();
    journal.limit = 5;
    for (let at = 0; at < 200; at++) register(6, `service-${at}`);
    expect(journal.entries()).toHaveLength(5);
    expect(journal.entries().at(-1)?.detail).toMatchObject({ service: 'service-199', times: 6 });
  });
});
