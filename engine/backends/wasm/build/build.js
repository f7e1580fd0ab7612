// Compiles the AssemblyScript kernels into binaries/KIND.generated.ts (base64 of plain, relaxed and wide SIMD) and kernels.generated.ts:
// the numbers that the binaries export, the words of kernel calls, the tables of the Winograd transforms, and a hash of all sources.
// First it generates sources: the classes of kernel calls and the transforms. It does nothing when the hash is unchanged.
// Plain JavaScript, because it runs before anything is compiled.
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { isMain } from '../../../../programs.js';
import { callClasses } from './classes.js';
import { hostTable, kernelsOf } from './kernels.js';
import { foldOffsets, widen } from './widen.js';
import { writeTables, writeTransforms } from './winograd-transforms.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const backend = join(here, '..');
const sources = join(backend, 'kernels');
const target = join(backend, 'kernels.generated.ts');
const binaries = join(backend, 'binaries');
const classes = join(sources, 'calls.generated.ts');
const transforms = join(sources, 'vectors/transforms.generated.ts');

/** The functions to widen, by the compiler's names: those of vectors/, but not the scalar forms of generic ones. */
export const WIDENED = /\bvectors\/(?!.*<f32>)/;

/** Memory that modules may be given at the most: 4 GiB in pages of 64 KiB. */
const MAXIMUM_PAGES = 65536;

/** Names of the AssemblyScript sources that are not generated, in a fixed order. */
async function sourceNames() {
  const names = (await readdir(sources, { recursive: true })).sort();
  return names.filter((name) => name.endsWith('.ts') && !name.endsWith('.generated.ts'));
}

/** All kernels, in the order of the numbers of their calls. */
async function findKernels() {
  const lists = (await sourceNames()).map(async (name) =>
    kernelsOf(name.slice(0, -'.ts'.length), await readFile(join(sources, name), 'utf8')),
  );
  return (await Promise.all(lists)).flat();
}

/**
 * @param {string} asc path of the compiler's version, part of the hash
 * @returns {Promise<string>}
 */
async function hashOfSources(asc) {
  const hash = createHash('sha256').update(asc);
  const tools = (await readdir(here)).sort().map((name) => join(here, name));
  for (const tool of [...tools, join(backend, 'calls.js')]) hash.update(await readFile(tool));
  for (const name of await sourceNames()) hash.update(name).update(await readFile(join(sources, name)));
  return hash.digest('hex');
}

/**
 * @param {typeof import('assemblyscript/asc')} asc
 * @param {'plain' | 'relaxed' | 'wide'} kind
 * @param {string} folder
 * @returns {Promise<Buffer>}
 */
async function compile(asc, kind, folder) {
  const output = join(folder, 'kernels.wasm');
  const wide = kind === 'wide';
  /** @type {string[]} */
  let widened = [];
  /** What the compiler runs on its output before it optimizes it. */
  const widening = /** @type {any} */ ({
    afterCompile: (/** @type {import('./widen.js').Module} */ module) => {
      widened = widen(module, WIDENED);
      if (widened.length === 0)
        throw new Error('there is nothing to widen: where are the functions of vectors/?');
    },
  });
  const { error, stderr } = await asc.main(
    [
      join(sources, 'index.ts'),
      '--outFile',
      output,
      '--runtime',
      'stub',
      '--noAssert',
      '--importMemory',
      '--sharedMemory',
      '--maximumMemory',
      String(MAXIMUM_PAGES),
      '--enable',
      kind === 'plain' ? 'simd,threads' : 'simd,threads,relaxed-simd',
      '--use',
      `WIDE=${wide ? 1 : 0}`,
      '-O3',
    ],
    wide ? { transforms: [widening] } : {},
  );
  // The compiler prints what is wrong with which line to its own stderr, which collects text when none is given.
  if (error)
    throw new Error(
      `the kernels do not compile:\n${/** @type {{ toString(): string }} */ (stderr).toString()}`,
    );
  const binary = await readFile(output);
  return wide ? Buffer.from(foldOffsets(binary, widened)) : binary;
}

/** Bytes of memory that hold the modules' static data. */
const STATIC_BYTES = 65536;

/**
 * The integers that the module exports (addresses of loops, the layout of the control block), and its static data.
 * @param {Buffer} wasm
 */
function inspect(wasm) {
  // Node 20 has relaxed SIMD behind a flag.
  if (!WebAssembly.validate(new Uint8Array(wasm))) setFlagsFromString('--experimental-wasm-relaxed-simd');
  const module = new WebAssembly.Module(new Uint8Array(wasm));
  const memory = new WebAssembly.Memory({ initial: 16, maximum: MAXIMUM_PAGES, shared: true });
  const { exports } = new WebAssembly.Instance(module, {
    env: { memory, now: () => 0, sleep: () => undefined, abort: () => undefined },
  });
  /** @type {Record<string, number>} */
  const numbers = Object.fromEntries(
    Object.entries(exports).flatMap(([name, value]) =>
      value instanceof WebAssembly.Global ? [[name, value.value]] : [],
    ),
  );
  return { numbers, data: Buffer.from(new Uint8Array(memory.buffer, 0, STATIC_BYTES)) };
}

/** Numbers that depend on the width of vectors. */
const OF_WIDTH = ['KC', 'LANES', 'NR'];

/**
 * All binaries share a memory, and the host knows the numbers of one.
 * @param {ReturnType<typeof inspect>} one
 * @param {ReturnType<typeof inspect>} other
 */
function checkAlike(one, other) {
  if (!one.data.equals(other.data))
    throw new Error('the static data of two binaries differs, and would be overwritten');
  for (const [name, value] of Object.entries(one.numbers)) {
    if (other.numbers[name] !== value && !OF_WIDTH.includes(name)) {
      throw new Error(`two binaries differ in ${name}: ${value} and ${other.numbers[name]}`);
    }
  }
}

/**
 * Brings kernels.generated.ts up to date.
 * @returns {Promise<boolean>} whether anything was compiled
 */
export async function buildKernels() {
  const asc = await import('assemblyscript/asc');
  const hash = await hashOfSources(asc.version);
  const existing = await readFile(target, 'utf8').catch(() => '');
  if (existing.includes(`hash = '${hash}'`)) return false;
  const folder = await mkdtemp(join(backend, '.kernels-'));
  /** Writes a file that others may be reading. */
  const write = async (/** @type {string} */ path, /** @type {string} */ text) => {
    const draft = join(folder, 'draft.ts');
    await writeFile(draft, text);
    await rename(draft, path);
  };
  try {
    const kernels = await findKernels();
    await write(classes, callClasses(kernels));
    await write(transforms, writeTransforms());
    const plain = await compile(asc, 'plain', folder);
    const relaxed = await compile(asc, 'relaxed', folder);
    const wide = await compile(asc, 'wide', folder);
    const known = inspect(plain);
    for (const other of [relaxed, wide]) checkAlike(known, inspect(other));
    const numbers = Object.entries(known.numbers).map(([name, value]) => `  ${name}: ${value},`);
    const text = [
      '// Generated by build/build.js from kernels/. Not committed.',
      `export const hash = '${hash}';`,
      `export const K = {\n${numbers.join('\n')}\n} as const;`,
      hostTable(kernels),
      writeTables(),
    ];
    await mkdir(binaries, { recursive: true });
    for (const [kind, binary] of Object.entries({ plain, relaxed, wide })) {
      const base64 = `export default '${binary.toString('base64')}';`;
      await write(
        join(binaries, `${kind}.generated.ts`),
        `// Generated by build/build.js. Not committed.\n${base64}\n`,
      );
    }
    // Last: its hash says that all files are up to date.
    await write(target, `${text.join('\n')}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return true;
}

if (isMain(import.meta.url)) await buildKernels();
