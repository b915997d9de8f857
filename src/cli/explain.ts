/** `outrigger explain`: nothing about an upstream stays hidden, neither a default nor an override. */
import type { EffectiveValue } from '../config/print.ts';
import type { Command } from './command.ts';
import { CONFIG_OPTIONS, configInput } from './config-input.ts';

export const explain: Command = {
  name: 'explain',
  summary: 'Print every effective value of an upstream and where it came from.',
  details: 'Secrets are hidden. A policy that is not in use is listed as off.',
  operands: ['upstream'],
  options: CONFIG_OPTIONS,
  run: async (args, io) => {
    const input = configInput(args, io.env);
    const { loadOrReport } = await import('./load.ts');
    const loaded = await loadOrReport(input, io);
    if (!loaded) return 1;
    const name = args.operand(0);
    const names = Object.keys(loaded.config.upstreams);
    if (!names.includes(name)) {
      const { didYouMean } = await import('../config/suggest.ts');
      const known = names.length > 0 ? `; there are ${names.join(', ')}` : '; there is none';
      io.err(`there is no upstream ${JSON.stringify(name)}${didYouMean(name, names)}${known}\n`);
      return 1;
    }
    const [{ effectiveValues }, { configSchema }] = await Promise.all([
      import('../config/print.ts'),
      import('../config/schema.ts'),
    ]);
    const values = effectiveValues(configSchema, loaded, ['upstreams', name]);
    io.out(`upstream ${name} in ${input.files.join(' + ')} (hash ${loaded.hash})\n\n`);
    io.out(await table(values, `upstreams.${name}.`));
    return 0;
  },
};

/** Values wider than this push only their own origin aside. */
const WIDEST_VALUE = 48;

async function table(values: readonly EffectiveValue[], prefix: string): Promise<string> {
  const { formatOrigin } = await import('../config/origins.ts');
  const rows = values.map(({ path, value, origin }): Row => [
    path.startsWith(prefix) ? path.slice(prefix.length) : path,
    value,
    formatOrigin(origin),
  ]);
  return align([['setting', 'value', 'from'], ...rows, ...(await switchedOff(rows))]);
}

type Row = readonly [setting: string, value: string, origin: string];

/** Policies that no value speaks of: they are not in the pipeline. */
async function switchedOff(rows: readonly Row[]): Promise<Row[]> {
  const { ATTEMPT_POLICIES, EXCHANGE_POLICIES } = await import('../pipeline.ts');
  const keys = [...EXCHANGE_POLICIES, ...ATTEMPT_POLICIES].map(({ key }) =>
    key === 'credentials' ? key : `policies.${key}`,
  );
  const mentioned = (key: string): boolean =>
    rows.some(
      ([setting]) => setting === key || setting.startsWith(`${key}.`) || setting.startsWith(`${key}[`),
    );
  return keys.filter((key) => !mentioned(key)).map((key): Row => [key, 'off', 'default']);
}

function align(rows: readonly Row[]): string {
  const settingWidth = Math.max(...rows.map(([setting]) => setting.length));
  const valueWidth = Math.min(WIDEST_VALUE, Math.max(...rows.map(([, value]) => value.length)));
  return rows
    .map(
      ([setting, value, origin]) =>
        `${setting.padEnd(settingWidth)}  ${value.padEnd(valueWidth)}  ${origin}\n`,
    )
    .join('');
}
