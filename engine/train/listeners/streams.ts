/** Writing text to somebody else's stream: awaited, with failures as DataError and closed pipes taken calmly. */
import { DataError } from '../../errors.ts';
import { message } from './format.ts';

/** What a listener needs of a stream, as Node's are; a type of our own, so that pages need no types of Node's. */
export interface TextOutput {
  write(text: string, done: (error?: Error | null) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
}

/** The other end is gone: a pipe's reader closed it (EPIPE), or the terminal was hung up (EIO). */
function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EPIPE' || code === 'EIO';
}

/**
 * A stream that is written line by line. Once nobody reads it any more, nothing more is written and nothing is
 * thrown: losing a viewer (`| head`) must not lose a training run. Every other failure throws DataError.
 */
export class TextStream {
  private readonly where: string;
  private readonly stream: TextOutput;
  private gone = false;
  private failure: unknown = null;
  private readonly onError = (error: unknown): void => {
    if (isGone(error)) this.gone = true;
    else this.failure ??= error;
  };

  constructor(where: string, stream: TextOutput) {
    this.where = where;
    this.stream = stream;
    // Without a listener Node would throw the error a second time, where nobody can catch it.
    stream.on('error', this.onError);
  }

  /** False once the other end is gone or a failure was thrown. */
  get open(): boolean {
    return !this.gone;
  }

  /** Throws what has gone wrong since the last look, also in writes that others made on this stream. */
  check(): void {
    if (this.failure === null || this.gone) return;
    this.gone = true; // thrown once; the `end` that follows must not throw it again
    throw new DataError(`${this.where}: cannot write to the stream: ${message(this.failure)}`, {
      cause: this.failure,
    });
  }

  /** Resolves when the text has left this process's buffer. */
  async write(text: string): Promise<void> {
    if (this.gone) return;
    await new Promise<void>((resolve) => {
      this.stream.write(text, (error) => {
        if (error) this.onError(error);
        resolve();
      });
    });
    this.check();
  }

  /** Lets go of the stream, which stays open: it is the caller's. */
  release(): void {
    // After a failure the listener stays: the stream's 'error' event comes later than the callback.
    if (!this.gone && this.failure === null) this.stream.off('error', this.onError);
  }
}
