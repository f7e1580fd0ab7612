/** Which backends are available here, and the one that exploring uses. */
import { Evaluator } from '../evaluate.ts';
import type { Backend } from './backend.ts';
import { BackendError } from '../errors.ts';
import { reference } from './reference/reference.ts';
import { wasm } from './wasm/wasm.ts';

let evaluator: Promise<Evaluator> | null = null;

/** The evaluator behind `await t.data()`. Made on first use. */
export function defaultEvaluator(): Promise<Evaluator> {
  evaluator ??= chooseDefault().then((backend) => new Evaluator(backend));
  return evaluator;
}

/** Uses another backend for `await t.data()` from now on; returns when the former one's executables are closed. */
export async function setDefaultBackend(backend: Backend): Promise<void> {
  const former = evaluator;
  evaluator = Promise.resolve(new Evaluator(backend));
  if (former !== null) await (await former).close();
}

/** The CPU backend where it runs, else the reference backend, which is slow but runs anywhere. */
async function chooseDefault(): Promise<Backend> {
  try {
    return await wasm();
  } catch (error) {
    if (error instanceof BackendError) return reference();
    throw error;
  }
}
