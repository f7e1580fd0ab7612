/** Awaited writes to a stream. Failures throw DataError, and a closed pipe ends the output. */
import { DataError } from '../../errors.ts';
import { message } from './format.ts';

/** The part of a Node stream that listeners use. Web pages do not need the types of Node. */
export interface TextOutput {
  write(text: string, done: (error?: Error | null) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
}

/** Whether the other end is closed: that of a pipe (EPIPE) or a terminal (EIO). */
function isClosed(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EPIPE' || code === 'EIO';
}

/**
 * A stream for lines of text. After its reader has closed it (`| head`), writes do nothing and training continues. All other failures
 * throw DataError.
 */
export class TextStream {
  private readonly where: string;
  private readonly stream: TextOutput;
  private closed = false;
  private failure: unknown = null;
  private readonly onError = (error: unknown): void => {
    if (isClosed(error)) this.closed = true;
    else this.failure ??= error;
  };

  constructor(where: string, stream: TextOutput) {
    this.where = where;
    this.stream = stream;
    // Without a listener Node would throw the error again, where it cannot be caught.
    stream.on('error', this.onError);
  }

  /** False after the other end was closed or a failure was thrown. */
  get open(): boolean {
    return !this.closed;
  }

  /** Throws an error since the last check, including errors of other writes to the stream. */
  check(): void {
    if (this.failure === null || this.closed) return;
    this.closed = true; // throw only once, not again at `end`
    throw new DataError(`${this.where}: cannot write to the stream: ${message(this.failure)}`, {
      cause: this.failure,
    });
  }

  /** Resolves when the text has left this process's buffer. */
  async write(text: string): Promise<void> {
    if (this.closed) return;
    await new Promise<void>((resolve) => {
      this.stream.write(text, (error) => {
        if (error) this.onError(error);
        resolve();
      });
    });
    this.check();
  }

  /** Removes the listener. The stream stays open. */
  release(): void {
    // After a failure the listener stays, because the 'error' event comes after the callback.
    if (!this.closed && this.failure === null) this.stream.off('error', this.onError);
  }
}
