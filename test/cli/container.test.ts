/** What can be known of the container files without a container engine. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { beforeAll, describe, expect, it } from 'vitest';
import { startChild } from '../support/child-process.ts';
import { configFile, projectRoot } from './fixture.ts';
import type { Ended } from './fixture.ts';

const read = (path: string): string => readFileSync(join(projectRoot, path), 'utf8');

/** Instructions with their continuation lines joined. */
const instructions = read('Dockerfile')
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll('\\\n', ' ')
  .split('\n')
  .filter((line) => line !== '');

const argumentsOf = (name: string): string[] =>
  instructions
    .filter((line) => line.startsWith(`${name} `))
    .map((line) => line.slice(name.length + 1).trim());

const imageEnv = Object.fromEntries(
  argumentsOf('ENV').flatMap((line) => line.split(/\s+/).map((pair) => pair.split('=') as [string, string])),
);

describe('the Dockerfile', () => {
  /** Paths in the build context that are copied. */
  const sources = argumentsOf('COPY')
    .filter((line) => !line.startsWith('--from='))
    .flatMap((line) => line.split(/\s+/).slice(0, -1));

  it.each(sources)('copies %s, which exists and is not ignored', (source) => {
    expect(existsSync(join(projectRoot, source))).toBe(true);
    const ignored = read('.dockerignore').split('\n');
    expect(ignored).toContain('*');
    expect(ignored).toContain(`!${source}`);
  });

  it('lets nothing into the build context that it does not copy', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    expect(allowed.sort()).toEqual([...new Set(sources)].sort());
  });

  it('runs as a numbered user, without dev dependencies and without install scripts', () => {
    expect(argumentsOf('USER')).toEqual(['10001:10001']);
    const installs = argumentsOf('RUN').filter((line) => line.startsWith('npm ci'));
    for (const install of installs) expect(install).toContain('--ignore-scripts');
    expect(installs.filter((line) => line.includes('--omit=dev'))).toHaveLength(1);
    expect(instructions.join('\n')).toContain('COPY --from=dependencies /app/node_modules node_modules');
  });

  it('is stopped by the signal that drains, and asks its own health', () => {
    expect(argumentsOf('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(argumentsOf('HEALTHCHECK')[0]).toContain('CMD ["node", "/app/dist/main.js", "healthcheck"]');
    expect(argumentsOf('ENTRYPOINT')).toEqual(['["node", "/app/dist/main.js"]']);
  });

  it('listens where it can be reached from outside, and says so as ports', () => {
    expect(imageEnv).toMatchObject({
      OUTRIGGER__SERVER__LISTEN: '0.0.0.0:8080',
      OUTRIGGER__SERVER__ADMIN: '0.0.0.0:9090',
      OUTRIGGER_CONFIG: '/app/config/outrigger.yaml',
    });
    expect(argumentsOf('EXPOSE')).toEqual(['8080 9090']);
  });
});

interface Service {
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly stop_grace_period?: string;
  readonly ports?: readonly string[];
  readonly deploy?: { readonly resources: { readonly limits: Readonly<Record<string, unknown>> } };
}

describe('docker-compose.yml', () => {
  const { services } = load(read('docker-compose.yml')) as { services: Readonly<Record<string, Service>> };
  const all = Object.entries(services);

  it('has an agent, its sidecar, Redis, and Prometheus', () => {
    expect(Object.keys(services).sort()).toEqual(['agent', 'outrigger', 'prometheus', 'redis']);
  });

  it.each(all)('gives %s limits, no capabilities and no writable root', (_name, service) => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    });
    expect(Object.keys(service.deploy?.resources.limits ?? {}).sort()).toEqual(['cpus', 'memory', 'pids']);
  });

  it.each(all)('mounts into %s only what exists, read-only', (_name, { volumes = [] }) => {
    // Docker's own volumes are made where there is none.
    for (const volume of volumes.filter((one) => one.startsWith('.'))) {
      const [source = '', , mode] = volume.split(':');
      expect(existsSync(join(projectRoot, source))).toBe(true);
      expect(mode).toBe('ro');
    }
  });

  it.each(all)('publishes ports of %s on loopback only', (_name, { ports = [] }) => {
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it('starts the agent and Prometheus when the sidecar is healthy', () => {
    for (const name of ['agent', 'prometheus'])
      expect(services[name]?.depends_on).toEqual({ outrigger: { condition: 'service_healthy' } });
  });

  it('gives the sidecar settings that are valid, and a volume for its state that the image prepares', () => {
    const { environment = {}, volumes = [] } = services['outrigger'] ?? {};
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(projectRoot, 'src', 'main.ts'), 'validate', '-c', join(projectRoot, 'config', 'outrigger.yaml')],
      { env: { ...process.env, ...environment }, encoding: 'utf8' },
    );
    expect([status, stdout]).toEqual([0, expect.any(String)]);
    const directory = environment['OUTRIGGER__STATE__DIR'];
    expect(volumes).toContain(`state:${directory}`);
    expect(argumentsOf('RUN')).toContainEqual(
      expect.stringMatching(new RegExp(`^install -d -o 10001 .* ${directory}$`)),
    );
  });

  it('gives the sidecar more time to stop than it takes to drain', () => {
    const graceSeconds = Number(/^(\d+)s$/.exec(services['outrigger']?.stop_grace_period ?? '')?.[1]);
    const drainSeconds = Number(/drainTimeout: (\d+)s/.exec(read('config/production.yaml'))?.[1]);
    expect(drainSeconds).toBeGreaterThan(0);
    expect(graceSeconds).toBeGreaterThan(Math.max(20, drainSeconds));
  });
});

describe('the Prometheus configuration', () => {
  it('scrapes the sidecar under its name and port in docker-compose.yml', () => {
    const { scrape_configs: jobs } = load(read('deploy/prometheus/prometheus.yml')) as {
      scrape_configs: { static_configs: { targets: string[] }[] }[];
    };
    expect(jobs.flatMap(({ static_configs }) => static_configs.flatMap(({ targets }) => targets))).toEqual([
      'outrigger:9090',
    ]);
  });

  const promtool = spawnSync('promtool', ['--version']).status === 0;

  it.skipIf(!promtool)('passes promtool', () => {
    const file = join(projectRoot, 'deploy/prometheus/prometheus.yml');
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'config', file], { encoding: 'utf8' });
    expect([status, stdout + stderr]).toEqual([0, expect.stringContaining('SUCCESS')]);
  });
});

/** Production dependencies only: development ones cannot be found. */
function withoutDevDependencies(): string[] {
  const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: Record<string, string> };
  const hook = `
    import { registerHooks } from 'node:module';
    const missing = new Set(${JSON.stringify(Object.keys(devDependencies))});
    registerHooks({ resolve: (name, context, next) => {
      const own = !context.parentURL?.includes('/node_modules/');
      if (own && missing.has(name)) throw Object.assign(new Error('cannot find ' + name), { code: 'ERR_MODULE_NOT_FOUND' });
      return next(name, context);
    } });`;
  return ['--import', `data:text/javascript,${encodeURIComponent(hook)}`];
}

describe('what the image runs', () => {
  let main = '';

  /** The build as the Dockerfile makes it, in a directory of its own. */
  beforeAll(() => {
    const copy = mkdtempSync(join(tmpdir(), 'outrigger-build-'));
    for (const name of ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'src', 'config', 'scripts'])
      cpSync(join(projectRoot, name), join(copy, name), { recursive: true });
    symlinkSync(join(projectRoot, 'node_modules'), join(copy, 'node_modules'));
    const node = (...args: string[]): unknown => execFileSync(process.execPath, args, { cwd: copy });
    node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json');
    node('scripts/copy-assets.mjs');
    main = join(copy, 'dist', 'main.js');
    return () => rmSync(copy, { recursive: true, force: true });
  }, 120_000);

  const run = async (args: readonly string[]): Promise<Ended> => {
    const env = { OUTRIGGER_CONFIG: undefined };
    await using child = await startChild([...withoutDevDependencies(), main, ...args], {
      cwd: tmpdir(),
      env,
    });
    const { code } = await child.waitForExit({ timeoutMs: 15_000 });
    return { code, stdout: child.stdout, stderr: child.stderr };
  };

  it('is executable and knows its version', async () => {
    expect(statSync(main).mode & 0o111).toBe(0o111);
    expect(await run(['version'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^outrigger \d/) as string,
    });
  });

  it('finds the configuration that comes with it from any directory', async () => {
    const { code, stdout } = await run(['validate']);
    expect([code, stdout]).toEqual([0, expect.stringContaining('config/outrigger.yaml: valid')]);
  });

  it('says that the demo is for a checkout', async () => {
    const { code, stderr } = await run(['demo']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('the demo needs the openai package')]);
  });

  it('runs as in the image: addresses and file from the environment, healthy, stopped by SIGTERM', async () => {
    const env = {
      ...imageEnv,
      OUTRIGGER_CONFIG: configFile('upstreams: {}'),
      OUTRIGGER__SERVER__LISTEN: '127.0.0.1:0',
      OUTRIGGER__SERVER__ADMIN: '127.0.0.1:0',
    };
    await using child = await startChild([...withoutDevDependencies(), main, 'run'], { cwd: tmpdir(), env });
    const [, url = ''] = await child.waitForLine(/admin plane +(\S+) /, { timeoutMs: 15_000 });
    expect(await run(['healthcheck', '--url', `${url}/health`])).toMatchObject({ code: 0 });
    child.signal('SIGTERM');
    expect(await child.waitForExit()).toEqual({ code: 0, signal: null });
  });
});
