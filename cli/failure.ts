/** How a command that fails says so: one readable message, and an exit status. */
import { EngineError } from '../engine/index.ts';

/** Wrong use of the command, noticed before anything was done. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;

/** The message without a stack; with `verbose` the stacks of the error and of what caused it. */
export function describeFailure(error: unknown, verbose: boolean): string {
  if (!(error instanceof Error)) return `error: ${String(error)}`;
  if (!verbose) {
    // Messages that are written to be read; of any other error its class is a hint.
    const explained =
      error instanceof EngineError || error instanceof UsageError || error instanceof RangeError;
    return `error: ${explained || error.name === 'Error' ? '' : `${error.name}: `}${error.message}`;
  }
  const parts = [`error: ${error.stack}`];
  for (let { cause } = error; cause instanceof Error && parts.length < 10; { cause } = cause) {
    parts.push(`caused by: ${cause.stack}`);
  }
  return parts.join('\n');
}
