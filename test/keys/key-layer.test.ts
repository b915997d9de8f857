import { expect, it } from 'vitest';
import { seededRandom } from '../../src/core/random.ts';
import { KeyLayer } from '../../src/keys/key-layer.ts';
import type { KeyListener, KeySource, KeyText } from '../../src/keys/key-source.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EventLog } from '../support/policy-kit.ts';

class ScriptedSource implements KeySource {
  text: KeyText | Error = 'one';
  listener: KeyListener | undefined;

  async read(): Promise<KeyText> {
    if (this.text instanceof Error) throw this.text;
    return this.text;
  }

  follow(listener: KeyListener): void {
    this.listener = listener;
  }

  dispose(): void {
    this.listener = undefined;
  }
}

function layered() {
  const clock = new FakeClock();
  const source = new ScriptedSource();
  const events = new EventLog();
  const layer = new KeyLayer(
    { address: 'etcd://h/k', key: 'k', source, waitMs: 1_000 },
    { clock, random: seededRandom(1), emit: events.emit },
  );
  return { clock, source, events, layer };
}

it('one reading that fails beside a follower that stands does not make the server away for good', async () => {
  const { source, layer, events } = layered();
  await layer.text();
  layer.follow(() => undefined);
  source.text = new Error('no answer within 5000 ms');
  expect(await layer.text()).toEqual({ ok: true, text: 'one' });
  expect([layer.up, events.of('config-source-away')]).toEqual([true, []]);
  source.text = 'two';
  expect(await layer.text()).toEqual({ ok: true, text: 'two' });
});

it('is asked at every reading where nobody follows it', async () => {
  const { source, layer, events } = layered();
  await layer.text();
  source.text = new Error('connection refused');
  expect(await layer.text()).toEqual({ ok: true, text: 'one' });
  expect(layer.up).toBe(false);
  source.text = 'two';
  expect(await layer.text()).toEqual({ ok: true, text: 'two' });
  expect(events.of('config-source-back')).toHaveLength(1);
});

it('is away while its follower says so, and is not waited for then', async () => {
  const { source, layer } = layered();
  await layer.text();
  const changes: string[] = [];
  layer.follow(() => changes.push('changed'));
  source.listener?.onFailed('gone');
  source.text = 'two';
  expect([await layer.text(), layer.up]).toEqual([{ ok: true, text: 'one' }, false]);
  source.listener?.onText('two');
  expect([await layer.text(), layer.up, changes]).toEqual([{ ok: true, text: 'two' }, true, ['changed']]);
});

it('is not away when the server came while it was waited for, and has no such key', async () => {
  const { clock, source, layer, events } = layered();
  source.text = new Error('connection refused');
  const first = layer.text();
  await clock.advance(100);
  expect(layer.up).toBe(false);
  source.text = undefined;
  await clock.advance(1_000);
  expect(await first).toEqual({ ok: false, reason: 'there is no key "k"' });
  expect([layer.up, events.of('config-source-back').length]).toEqual([true, 1]);
});
