#!/usr/bin/env node
/** The `cyclegrad` command: calls `runCli` if Node is new enough to load it. */
const EXIT_FAILURE = 1;
const OLDEST = 20;
/** Loading the command opens fewer files than this. */
const FEW_FILES = 256;

// If the reader of a pipe closes it (`cyclegrad train --help | head`), the command continues without output. Other failures, such as
// a full disk, set the exit status. Training also handles them itself.
let outputFailed = false;
for (const [name, stream] of [
  ['stdout', process.stdout],
  ['stderr', process.stderr],
] as const) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return;
    if (!outputFailed && name === 'stdout')
      process.stderr.write(`error: cannot write to ${name}: ${error.message}\n`);
    outputFailed = true;
    process.exitCode = EXIT_FAILURE;
  });
}

/** Says what a low limit of open files means: Node reports the file that it could not open, or a package as missing. */
function explainOpenFiles(error: unknown): never {
  const { userLimits } = process.report.getReport() as unknown as {
    readonly userLimits?: { readonly open_files?: { readonly soft?: number | string } };
  };
  const limit = userLimits?.open_files?.soft;
  if (typeof limit !== 'number' || limit >= FEW_FILES) throw error;
  process.stderr.write(
    `error: cyclegrad cannot load its files, because this process may open only ${limit} files (raise the limit: ulimit -n 1024)\n`,
  );
  process.exit(EXIT_FAILURE);
}

const { node } = process.versions;
if (Number(node.split('.')[0]) < OLDEST) {
  process.stderr.write(
    `error: cyclegrad needs Node ${OLDEST} or newer, and this is Node ${node} (install one from https://nodejs.org)\n`,
  );
  process.exitCode = EXIT_FAILURE;
} else {
  // Imported only now, because an older Node cannot load these files.
  const [{ EXIT_CODES, processHost }, { runCli }] = await Promise.all([
    import('./host.ts'),
    import('./program.ts'),
  ]).catch(explainOpenFiles);
  const host = processHost();
  const code = await runCli(process.argv.slice(2), host);
  // Node 20 aborts at its exit when its terminal is gone.
  if (code === EXIT_CODES.SIGHUP) host.quit('SIGHUP');
  // Not process.exit(), which would lose pending output to a pipe.
  process.exitCode = outputFailed && code === 0 ? EXIT_FAILURE : code;
}
