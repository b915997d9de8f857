/** What a command that only looks at a configuration needs of layers that live in keys: their texts, read once. */
import type { ConfigInput } from '../config/load.ts';
import { isKeyAddress } from '../keys/key-address.ts';

/** Never rejects: what cannot be read is a problem of that layer's. */
export async function withKeys(input: ConfigInput): Promise<ConfigInput> {
  if (!input.files.some(isKeyAddress)) return input;
  const [{ ConfigKeys }, { systemClock }, { systemRandom }] = await Promise.all([
    import('../keys/config-keys.ts'),
    import('../core/clock.ts'),
    import('../core/random.ts'),
  ]);
  const { files, env } = input;
  const keys = new ConfigKeys(
    { files, env, waitMs: 0 },
    { clock: systemClock, random: systemRandom, emit: () => undefined },
  );
  try {
    return { ...input, fetched: await keys.fetch() };
  } finally {
    keys.dispose();
  }
}
