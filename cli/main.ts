#!/usr/bin/env node
/** The `cyclegrad` command: hands the process to `runCli`. Nothing else happens here. */
import { processHost } from './host.ts';
import { runCli } from './program.ts';

// Not process.exit(): what is still being written to a pipe would be lost.
process.exitCode = await runCli(process.argv.slice(2), processHost());
