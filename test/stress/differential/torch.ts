/** PyTorch as a Python process that answers requests in order. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { HostTensor, Shape } from 'cyclegrad';

/** The interpreter that the environment names, or those that usually have PyTorch. */
const PYTHONS = ['python3', '/usr/bin/python3'];
export const PYTHON_VARIABLE = 'CYCLEGRAD_PYTHON';

/** The first Python that can import torch. Null if there is none. */
export function findPython(): string | null {
  const named = process.env[PYTHON_VARIABLE];
  const candidates = named === undefined ? PYTHONS : [named];
  const works = (python: string): boolean =>
    spawnSync(python, ['-c', 'import torch, numpy'], { stdio: 'ignore' }).status === 0;
  return candidates.find(works) ?? null;
}

/** An array as the requests have it: base64 of little-endian values. */
export interface Encoded {
  readonly shape: Shape;
  readonly dtype: string;
  readonly data: string;
}

export function encode({ shape, dtype, data }: HostTensor): Encoded {
  return {
    shape,
    dtype,
    data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'),
  };
}

/** A double-precision array of an answer. */
export interface Decoded {
  readonly shape: Shape;
  readonly data: Float64Array;
}

export function decode({ shape, data }: { readonly shape: Shape; readonly data: string }): Decoded {
  const bytes = Uint8Array.from(Buffer.from(data, 'base64'));
  return { shape, data: new Float64Array(bytes.buffer) };
}

interface Answer {
  readonly results?: unknown;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (results: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The script is not compiled: it lies beside the source of this file. */
const script = (): string =>
  fileURLToPath(new URL('torch_side.py', import.meta.url)).replace(
    /[/\\]dist([/\\]test[/\\]stress[/\\])/,
    '$1',
  );

export class Torch {
  readonly #process: ChildProcess;
  readonly #waiting: Waiting[] = [];

  constructor(python: string) {
    this.#process = spawn(python, ['-B', script()], { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.#process.stdout! }).on('line', (line) => {
      const { results, error } = JSON.parse(line) as Answer;
      const { resolve, reject } = this.#waiting.shift()!;
      if (error === undefined) resolve(results);
      else reject(new Error(`PyTorch: ${error}`));
    });
    this.#process.on('exit', (code) => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(`Python ended with code ${code}`));
    });
  }

  /** The results of a request. Throws the error of the Python side. */
  ask(request: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#process.stdin!.write(`${JSON.stringify(request)}\n`);
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#process.on('exit', () => resolve());
      this.#process.stdin!.end();
    });
  }
}
