/** The rules that keep the house in order: who may import whom, one address for each library, what belongs to a policy. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ATTEMPT_POLICIES, EXCHANGE_POLICIES } from '../src/pipeline.ts';
import { sectionAt } from './support/docs-options.ts';
import { ROOT, filesUnder, readText } from './support/docs-pages.ts';
import { allImports, cyclesOf, edgesOf, roomOf } from './support/docs-imports.ts';
import type { Import } from './support/docs-imports.ts';
import { sourceFiles } from './support/docs-source.ts';

const LEAF = ['core', 'algorithms', 'schema'];

/** What each room may import, types included. A room that is not here must be added with a decision. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  version: [],
  algorithms: ['core'],
  schema: ['core'],
  streams: LEAF,
  ladder: LEAF,
  caching: [...LEAF, 'streams'],
  idempotency: [...LEAF, 'streams'],
  policies: [...LEAF, 'streams', 'ladder', 'caching', 'idempotency'],
  balancing: LEAF,
  endpoints: LEAF,
  broadcast: LEAF,
  files: ['core', 'schema'],
  health: [...LEAF, 'transport'],
  discovery: [...LEAF, 'transport', 'files'],
  registry: [...LEAF, 'transport'],
  agent: [...LEAF, 'transport', 'health', 'discovery', 'registry'],
  dialects: LEAF,
  stores: LEAF,
  transport: LEAF,
  telemetry: LEAF,
  playground: LEAF,
  keys: [...LEAF, 'transport', 'discovery'],
  pipeline: ['core', 'policies'],
  config: ['core', 'schema'],
  runtime: [
    ...['core', 'schema', 'config', 'pipeline'],
    ...[
      'balancing',
      'endpoints',
      'broadcast',
      'health',
      'discovery',
      'registry',
      'agent',
      'dialects',
      'stores',
    ],
    'transport',
  ],
  server: ['core', 'config', 'runtime', 'telemetry', 'dialects'],
  admin: ['core', 'config', 'runtime', 'telemetry', 'version'],
  cli: ['core', 'config', 'runtime', 'telemetry', 'version', 'sidecar', 'keys'],
  sidecar: [
    ...['core', 'version', 'config', 'policies', 'runtime', 'transport', 'telemetry', 'playground'],
    ...['registry', 'agent', 'server', 'admin', 'files', 'keys'],
  ],
  main: ['cli'],
};

interface Exception {
  readonly file: string;
  readonly imports: string;
  readonly because: string;
}

const EXCEPTIONS: readonly Exception[] = [
  ...['pipeline', 'endpoints', 'playground', 'dialects', 'discovery'].map((imports) => ({
    file: 'config/schema.ts',
    imports,
    because: 'it assembles the sections that these modules export (docs/adr/0005)',
  })),
  {
    file: 'config/checks.ts',
    imports: 'policies',
    because: 'which upstreams a ladder leads to, only the fallback policy can say of its options',
  },
  {
    file: 'config/check-neighbours.ts',
    imports: 'policies',
    because: 'the same',
  },
  {
    file: 'admin/breaker-of.ts',
    imports: 'policies',
    because: 'an operator acts on one kind of policy, which must be told from the others',
  },
  {
    file: 'admin/caches-of.ts',
    imports: 'policies',
    because: 'an operator purges one kind of policy, which must be told from the others',
  },
  {
    file: 'admin/credentials-of.ts',
    imports: 'policies',
    because: 'an operator resets one kind of policy, which must be told from the others',
  },
  {
    file: 'admin/breaker-routes.ts',
    imports: 'algorithms',
    because: 'the type of what an operator may say to a circuit',
  },
  {
    file: 'discovery/registry-stream.ts',
    imports: 'streams',
    because: 'a registry tells what changes as server-sent events, whose frames are read there',
  },
  {
    file: 'admin/guards.ts',
    imports: 'algorithms',
    because: 'who may ask by which name and token is the same on the registry',
  },
  {
    file: 'admin/admin-plane.ts',
    imports: 'server',
    because: 'server/address.ts takes host:port apart for both planes',
  },
  {
    file: 'cli/explain.ts',
    imports: 'pipeline',
    because: 'it lists also the policies that are off',
  },
  {
    file: 'cli/validate.ts',
    imports: 'transport',
    because: 'it compiles as a start does, without a sidecar around it',
  },
  {
    file: 'cli/demo/stage.ts',
    imports: 'playground',
    because: 'the demo runs the flaky provider by itself, for the side without a sidecar',
  },
  {
    file: 'cli/demo/agent.ts',
    imports: 'playground',
    because: "it checks the answers' checksums, which the playground defines",
  },
];

/** Where each library may be imported. */
const ADDRESSES: Readonly<Record<string, RegExp>> = {
  fastify: /^admin\//,
  undici: /^transport\//,
  'prom-client': /^telemetry\/(metrics|topic|cells|topics\/[a-z-]+)\.ts$/,
  pino: /^telemetry\/(log|topic)\.ts$/,
  '@redis/client': /^stores\/redis\/client\.ts$/,
  'lru-cache': /^stores\/memory\//,
  'js-yaml': /^(config\/|discovery\/file\.ts)/,
  cockatiel: /^(policies|algorithms)\//,
  // Sections of the configuration, and in the playground the requests that it gets.
  zod: /^(schema|config|policies|ladder|playground|discovery|registry|agent)\/|^endpoints\/classify\.ts$|^dialects\/[a-z0-9]+-options\.ts$|^(core\/policy|pipeline)\.ts$/,
  // Only the demo, which does without it where it is not installed.
  openai: /^cli\/demo\//,
};

/** Libraries that are there for development only. */
const LOADED_WHERE_INSTALLED = ['openai'];

const imports = allImports();
const inside = imports.filter((one) => one.inside);
const files = sourceFiles().map((path) => path.replace('src/', ''));

const isException = ({ file, target }: Import): boolean =>
  EXCEPTIONS.some((one) => one.file === file && one.imports === roomOf(target));

const breaksRule = ({ file, target }: Import): boolean => {
  const [from, to] = [roomOf(file), roomOf(target)];
  return from !== to && !MAY_IMPORT[from]?.includes(to);
};

const described = ({ file, target }: Import): string => `${file} imports ${target}`;

describe('who may import whom', () => {
  it('every room has its rule', () => {
    expect([...new Set(files.map(roomOf))].filter((room) => !MAY_IMPORT[room])).toEqual([]);
  });

  it('no room imports what it may not', () => {
    expect(inside.filter((one) => breaksRule(one) && !isException(one)).map(described)).toEqual([]);
  });

  it('every exception is still needed', () => {
    const used = inside.filter(breaksRule);
    const idle = EXCEPTIONS.filter(
      ({ file, imports: room }) => !used.some((one) => one.file === file && roomOf(one.target) === room),
    );
    expect(idle).toEqual([]);
  });

  it('policies do not import each other; only the index lists them', () => {
    const between = inside.filter(
      ({ file, target }) =>
        roomOf(file) === 'policies' && roomOf(target) === 'policies' && file !== 'policies/index.ts',
    );
    expect(between.map(described)).toEqual([]);
  });

  it('rooms do not import in a circle', () => {
    expect(cyclesOf(edgesOf(inside.map(({ file, target }) => [roomOf(file), roomOf(target)])))).toEqual([]);
  });

  it('files do not need each other in a circle at run time', () => {
    const needed = inside.filter(({ typeOnly }) => !typeOnly);
    expect(cyclesOf(edgesOf(needed.map(({ file, target }) => [file, target])))).toEqual([]);
  });

  it('every import leads to a file', () => {
    expect(inside.filter(({ target }) => !files.includes(target)).map(described)).toEqual([]);
  });
});

describe('libraries', () => {
  const libraries = imports.filter((one) => !one.inside && !one.target.startsWith('node:'));

  it('each is imported only at its address', () => {
    const strays = libraries.filter(({ file, target }) => !ADDRESSES[target]?.test(file));
    expect(strays.map(described)).toEqual([]);
  });

  it('each is a dependency of the package, unless it is loaded where installed', () => {
    const { dependencies } = JSON.parse(readText('package.json')) as { dependencies: object };
    const known = [...Object.keys(dependencies), ...LOADED_WHERE_INSTALLED];
    expect(libraries.filter(({ target }) => !known.includes(target)).map(described)).toEqual([]);
  });

  it('the core knows Node and zod by their types only', () => {
    const real = imports.filter((one) => roomOf(one.file) === 'core' && !one.inside && !one.typeOnly);
    expect(real.map(described)).toEqual([]);
  });

  it('the pipeline knows zod by its types only', () => {
    const real = libraries.filter(({ file, typeOnly }) => file === 'pipeline.ts' && !typeOnly);
    expect(real.map(described)).toEqual([]);
  });
});

describe('every policy in the pipeline', () => {
  const policies = [...EXCHANGE_POLICIES, ...ATTEMPT_POLICIES];

  it.each(policies)('$name has its file, test and page', ({ name }) => {
    const paths = [`src/policies/${name}.ts`, `test/policies/${name}.test.ts`, `docs/policies/${name}.md`];
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it.each(policies)('$name has its section of the configuration: $key', ({ key }) => {
    const path = key === 'credentials' ? `upstreams.*.${key}` : `upstreams.*.policies.${key}`;
    expect(sectionAt(path)).toBeDefined();
  });

  it.each(policies)('$name is the camel-case key in kebab-case', ({ name, key }) => {
    expect(key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)).toBe(name);
  });

  it('is all the policies there are', () => {
    const written = filesUnder('src/policies', '.ts')
      .map((path) => path.replace('src/policies/', '').replace('.ts', ''))
      .filter((name) => name !== 'index');
    expect(policies.map(({ name }) => name).sort()).toEqual(written);
  });
});

const MAX_LINES = 350;

/** Lines of src/ that match, outside comments, except in `allowed` files. */
function linesWith(pattern: RegExp, allowed: readonly string[] = []): string[] {
  return files
    .filter((file) => !allowed.includes(file))
    .flatMap((file) =>
      readText(`src/${file}`)
        .split('\n')
        .map((line, index) => ({ line, at: `${file}:${index + 1}` }))
        .filter(({ line }) => !/^\s*(\/\/|\/?\*)/.test(line) && pattern.test(line.replace(/\s\/\/ .*$/, '')))
        .map(({ line, at }) => `${at}: ${line.trim()}`),
    );
}

describe('every file', () => {
  it(`has at most ${MAX_LINES} lines`, () => {
    const long = files.map((file) => [file, readText(`src/${file}`).split('\n').length - 1] as const);
    expect(long.filter(([, lines]) => lines > MAX_LINES)).toEqual([]);
  });

  it('begins with what it is for', () => {
    // The index of the policies and the entry point's first line are told by their rules.
    const silent = files.filter(
      (file) => !/^(#!.*\n)?(import [^\n]*\n\n?)*\/\*\*/.test(readText(`src/${file}`)),
    );
    expect(silent).toEqual([]);
  });

  it('is named after what it holds', () => {
    expect(files.filter((file) => /(^|\/)(utils?|helpers?|types|misc|common)\.ts$/.test(file))).toEqual([]);
    expect(files.filter((file) => !/^[a-z0-9/-]+\.ts$/.test(file))).toEqual([]);
  });

  it('is no barrel, but for the index of the policies', () => {
    const barrels = files.filter((file) => {
      const code = readText(`src/${file}`)
        .replace(/\/\*[\s\S]*?\*\//g, '')
        .split('\n')
        .filter((line) => line.trim() !== '');
      return code.every((line) => /^export (type )?\{.*\} from /.test(line));
    });
    expect(barrels).toEqual(['policies/index.ts']);
  });

  it('has no `any`', () => {
    expect(linesWith(/(:|\bas|<|\|)\s*any\b(?!\w)/)).toEqual([]);
  });

  it('has no TODO without an issue number', () => {
    const open = sourceFiles().flatMap((path) =>
      readText(path)
        .split('\n')
        .flatMap((line, index) =>
          /\b(TODO|FIXME|XXX)\b/.test(line) && !/#\d+/.test(line) ? [`${path}:${index + 1}`] : [],
        ),
    );
    expect(open).toEqual([]);
  });

  it('takes the environment from the entry point', () => {
    expect(linesWith(/\bprocess\.env\b/, ['main.ts'])).toEqual([]);
  });

  it('takes time and chance from the core', () => {
    const clocks =
      /\b(Date\.now|Math\.random|performance\.now)\b|\bnew Date\(\)|(?<!\.)\b(setTimeout|setInterval)\(/;
    // The metrics get no clock; the one instant that they keep is shown and never reckoned with.
    const allowed = ['core/clock.ts', 'core/random.ts', 'telemetry/topics/process.ts'];
    expect(linesWith(clocks, allowed)).toEqual([]);
  });

  it('keeps no state of its own beside its objects', () => {
    // A pool of random digits: nobody's state, and one system call for many identifiers.
    expect(linesWith(/^(export )?let /, ['server/identity.ts'])).toEqual([]);
  });
});
