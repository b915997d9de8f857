#!/usr/bin/env node
/** The entry point: the command line in, an exit code out. */
import { runCommandLine } from './cli/command-line.ts';

const ignore = (): undefined => undefined;

/** A reader that has seen enough (`| head`) closes the pipe; that is no failure of ours. */
process.stderr.on('error', ignore);

process.exitCode = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  interactive: process.stderr.isTTY,
  out: (text) => {
    if (process.stdout.listenerCount('error') === 0) process.stdout.on('error', ignore);
    process.stdout.write(text);
  },
  err: (text) => void process.stderr.write(text),
});
