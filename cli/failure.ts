/** Failures of a command: one readable message, and an exit status. */
import { EngineError, RunInUseError } from '../engine/index.ts';

/** Wrong use of the command, detected before it does anything. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;

/** The exit status of a command that failed. A folder in which another run writes is wrong use. */
export const exitCodeOf = (error: unknown): number =>
  error instanceof UsageError || error instanceof RunInUseError ? EXIT_USAGE : EXIT_FAILURE;

/** The message without a stack. With `verbose`, the stacks of the error and its causes. */
export function describeFailure(error: unknown, verbose: boolean): string {
  if (!(error instanceof Error)) return `error: ${String(error)}`;
  if (!verbose) {
    // The messages of these errors are self-explanatory. For other errors, the class is a hint.
    const isExplained =
      error instanceof EngineError || error instanceof UsageError || error instanceof RangeError;
    return `error: ${isExplained || error.name === 'Error' ? '' : `${error.name}: `}${error.message}`;
  }
  const parts = [`error: ${error.stack}`];
  for (let { cause } = error; cause instanceof Error && parts.length < 10; { cause } = cause) {
    parts.push(`caused by: ${cause.stack}`);
  }
  return parts.join('\n');
}
