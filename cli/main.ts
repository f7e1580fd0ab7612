#!/usr/bin/env node
/** The `cyclegrad` command: hands the process to `runCli`, where Node is new enough to load it. */
const EXIT_FAILURE = 1;
const OLDEST = 20;

// A reader that has seen enough (`cyclegrad train --help | head`) closes its end: nothing more is to be said to it, and
// what the command does goes on. Of any other failure, such as a full disk, training has heard itself.
let lost = false;
for (const [name, stream] of [
  ['stdout', process.stdout],
  ['stderr', process.stderr],
] as const) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return;
    if (!lost && name === 'stdout')
      process.stderr.write(`error: cannot write to ${name}: ${error.message}\n`);
    lost = true;
    process.exitCode = EXIT_FAILURE;
  });
}

const { node } = process.versions;
if (Number(node.split('.')[0]) < OLDEST) {
  process.stderr.write(
    `error: cyclegrad needs Node ${OLDEST} or newer, and this is Node ${node} (install one from https://nodejs.org)\n`,
  );
  process.exitCode = EXIT_FAILURE;
} else {
  // What an older Node cannot load comes after the question.
  const [{ processHost }, { runCli }] = await Promise.all([import('./host.ts'), import('./program.ts')]);
  const code = await runCli(process.argv.slice(2), processHost());
  // Not process.exit(): what is still being written to a pipe would be lost.
  process.exitCode = lost && code === 0 ? EXIT_FAILURE : code;
}
