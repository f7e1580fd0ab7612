// What the tests of the packed package share: the folder where `.ci/run` installed it, named by CYCLEGRAD_PACKAGED, and how to run
// programs there. Without that folder these tests are skipped.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compile, f32, wasm } from 'cyclegrad';

export const folder = process.env['CYCLEGRAD_PACKAGED'] ?? '';

/** A name for a group of tests that says why it is skipped, if it is. */
export const packaged = (name: string): string =>
  folder === '' ? `${name}, skipped: CYCLEGRAD_PACKAGED names no folder` : name;

/** Whether a package is installed beside the packed one. */
export const isInstalled = (name: string): boolean =>
  folder !== '' && existsSync(join(folder, 'node_modules', name));

/** Runs a program and returns what it prints. */
export const run = async (
  command: string,
  args: readonly string[],
  { cwd = folder, env = {} }: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<string> =>
  (await promisify(execFile)(command, args, { cwd, env: { ...process.env, NO_COLOR: '1', ...env } })).stdout;

/** The path of a command that an installed package has. */
export const bin = (name: string): string => join(folder, 'node_modules/.bin', name);

/** Runs a command of an installed package. */
export const npx = (name: string, ...args: readonly string[]): Promise<string> => run(bin(name), args);

/** The JavaScript runtimes that are tested: the command and the arguments before the name of a program. */
export const RUNTIMES: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['Node', process.execPath],
  ['Bun', bin('bun')],
  ['Deno', bin('deno'), 'run', '-A', '--node-modules-dir=manual'],
];

/** A program that computes on two threads, and opens a GPU although gpu.js is missing. */
export const COMPUTES = `
import { compile, f32, gpu, tensor, wasm } from 'cyclegrad';
const backend = await wasm({ threads: 2, simd: 'plain' });
const twice = await compile(backend, { inputs: { x: f32(3) }, build: ({ x }) => ({ outputs: { y: x.mul(2).exp() } }) });
const { y } = await twice.run({ x: Float32Array.of(1, 2, 3) });
const missing = await gpu({ mode: 'cpu' }).catch((error) => error.message);
const bytes = [...new Uint8Array(y.data.buffer, y.data.byteOffset, y.data.byteLength)];
export const result = { executor: twice.report.executor, bytes, missing, method: typeof tensor([1]).relu };
`;

/** What that program computes here, from the sources. */
export async function computed(): Promise<object> {
  const backend = await wasm({ threads: 2, simd: 'plain' });
  const twice = await compile(backend, {
    inputs: { x: f32(3) },
    build: ({ x }) => ({ outputs: { y: x.mul(2).exp() } }),
  });
  const { y } = await twice.run({ x: Float32Array.of(1, 2, 3) });
  await twice.close();
  await backend.close();
  return {
    executor: 'team of 2 workers',
    bytes: [...new Uint8Array(y.data.buffer, y.data.byteOffset, y.data.byteLength)],
    missing: 'gpu: the package gpu.js is not installed (npm install gpu.js@2.24.1)',
    method: 'function',
  };
}

/** The value that a program printed in its last line. */
export const parsed = (output: string): unknown => JSON.parse(output.trim().split('\n').at(-1) ?? '');
