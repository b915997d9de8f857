import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inProcess, outrigger, projectRoot } from './fixture.ts';

const COMMANDS = ['run', 'validate', 'explain', 'print-config', 'schema', 'healthcheck', 'demo', 'version'];

/** Reports every package that is loaded. */
const TELL_PACKAGES = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  registerHooks({ resolve: (name, context, next) => {
    if (/^[a-z@]/.test(name) && !name.startsWith('node:') && !name.includes(':')) process.stderr.write('LOADED ' + name + '\\n');
    return next(name, context);
  } });`)}`;

describe('help', () => {
  it('lists every command', async () => {
    const { code, stdout, stderr } = await outrigger(['--help']);
    expect([code, stderr]).toEqual([0, '']);
    for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
  });

  it.each(COMMANDS)('of %s shows its usage and its options', async (command) => {
    const { code, stdout, stderr } = await inProcess([command, '--help']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`Usage: outrigger ${command}`);
    expect(stdout).toContain('-h, --help');
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
  });

  it('is also there as a command', async () => {
    const { code, stdout } = await inProcess(['help', 'explain']);
    expect(code).toBe(0);
    expect(stdout).toContain('Usage: outrigger explain <upstream>');
  });
});

describe('version', () => {
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {
    version: string;
  };

  it.each([['version'], ['--version']])('%s prints the version of the package', async (word) => {
    const { code, stdout } = await inProcess([word]);
    expect([code, stdout]).toEqual([0, `outrigger ${version} (node ${process.versions.node})\n`]);
  });

  it.each([[['version']], [['--help']], [['demo', '--help']]])(
    '%j works from any directory and loads no package, so that it is quick',
    async (args) => {
      const { code, stderr } = await outrigger(args, {
        cwd: tmpdir(),
        nodeArgs: ['--import', TELL_PACKAGES],
      });
      expect([code, stderr]).toEqual([0, '']);
    },
  );
});

describe('a wrong command line exits with 2', () => {
  it('without a command, and shows the help', async () => {
    const { code, stdout, stderr } = await outrigger([]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage: outrigger <command>');
  });

  it('as a process, with one message and no stack', async () => {
    const { code, stdout, stderr } = await outrigger(['validate', '--formt', 'text']);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toBe("outrigger validate: Unknown option '--formt'\nSee outrigger validate --help\n");
  });

  it.each([
    [['vlidate'], 'unknown command: "vlidate"; did you mean "validate"?'],
    [['--config', 'x.yaml', 'run'], 'expected a command before the options: "--config"'],
    [['run', '--cofig', 'x.yaml'], "outrigger run: Unknown option '--cofig'"],
    [['run', '--config'], 'argument missing'],
    [['run', '--config', ''], '--config: expected the name of a file, got nothing'],
    [['run', 'extra'], 'unexpected argument "extra"'],
    [['explain'], 'expected <upstream>'],
    [['validate', '--format', 'xml'], '--format: expected one of text, json, github, got "xml"'],
    [['demo', '--calls', 'many'], '--calls: expected a whole number from 1 to 10000, got "many"'],
    [['demo', '--calls', '0'], '--calls: expected a whole number'],
    [
      ['healthcheck', '--url', 'localhost:9090'],
      '--url: expected a URL such as http://127.0.0.1:9090/health',
    ],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await inProcess(args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
  });
});
