#!/usr/bin/env node
/** The `cyclegrad` command: hands the process to `runCli`. Nothing else happens here. */
import { processHost } from './host.ts';
import { runCli } from './program.ts';

// A reader that has seen enough (`cyclegrad train --help | head`) closes its end: nothing more is to be said to it, and
// what the command does goes on.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

// Not process.exit(): what is still being written to a pipe would be lost.
process.exitCode = await runCli(process.argv.slice(2), processHost());
