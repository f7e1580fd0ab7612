/** Data sets and loaders of others that do not keep to their interface: an error before the first step, never a training on zeros. */
import { expect, it } from 'vitest';
import { evaluate, fit, reference } from 'cyclegrad';
import { loader, synthetic, type Dataset, type Loader } from 'cyclegrad/datasets';
import { initState, mlp } from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';

const spirals = synthetic({ kind: 'spirals', n: 30, seed: 1 });
const { whole, ...lazy } = spirals;
const model = mlp([2, 8, 3]);
const optimizer = sgd({ lr: 0.01 });

const train = (data: Loader, resident: boolean): Promise<unknown> => {
  let steps = 0;
  const listeners = [({ type }: { readonly type: string }) => void (steps += type === 'step' ? 1 : 0)];
  const running = fit({ model, backend: reference(), steps: 2, optimizer, data, resident, listeners });
  return running.finally(() => expect(steps).toBe(0));
};

/** A data set with members of other types. */
const dataset = (change: Readonly<Record<string, unknown>>): Dataset => ({ ...lazy, ...change });
/** A loader with members of other types, also after withSeed. */
const custom = (change: Readonly<Record<string, unknown>>): Loader => {
  const odd = { ...loader(spirals, { batchSize: 4 }), ...change } as Loader;
  return { ...odd, withSeed: () => odd };
};

const NAME = 'synthetic/spirals';

it.each<[string, Readonly<Record<string, unknown>>, string]>([
  ['length NaN', { length: NaN }, `${NAME}: length must be an integer >= 0, got NaN`],
  ['length a string', { length: '30' }, `${NAME}: length must be an integer >= 0, got '30'`],
  [
    'x missing',
    { x: undefined },
    `${NAME}: x must be the type of one example { shape, dtype } with dtype 'u8' or 'f32' or 'i32', got undefined`,
  ],
  [
    'x of f64',
    { x: { shape: [2], dtype: 'f64' } },
    `${NAME}: x must be the type of one example { shape, dtype } with dtype 'u8' or 'f32' or 'i32', got {"shape":[2],"dtype":"f64"}`,
  ],
  ['y with a wrong shape', { y: { shape: '1', dtype: 'i32' } }, `${NAME}: y must be the type of one example`],
  ['classes missing', { classes: undefined }, `${NAME}: classes must be an array of names`],
  [
    'a read that writes nothing',
    { read: () => undefined },
    `${NAME}: read: two reads of example 0 give 0 and 1 for element 0 of x (read must write every element, and the same numbers in every call)`,
  ],
  [
    'a read that writes no targets',
    { read: (i: Uint32Array, x: Float32Array) => spirals.read(i, x, new Int32Array(i.length)) },
    `${NAME}: read: two reads of example 0 give 0 and 1 for element 0 of y`,
  ],
])('a data set with %s', async (_, change, message) => {
  const odd = dataset(change);
  const data = custom({ dataset: odd });
  for (const resident of [true, false]) {
    // oxlint-disable-next-line no-await-in-loop -- one run at a time
    await expect((async () => train(data, resident))()).rejects.toThrow(message);
  }
});

it('a data set whose examples change between reads', async () => {
  let calls = 0;
  const odd = dataset({
    read(i: Uint32Array, x: Float32Array, y: Int32Array) {
      spirals.read(i, x, y);
      x[1] = calls++;
    },
  });
  await expect(train(loader(odd, { batchSize: 4 }), false)).rejects.toThrow(
    `${NAME}: read: two reads of example 0 give 0 and 1 for element 1 of x`,
  );
});

it.each([true, false])('labels beyond the classes, all in memory: %s', async (inMemory) => {
  const y = Int32Array.from(whole!.y);
  y[29] = 3;
  const odd: Dataset = {
    ...(inMemory ? { ...spirals, whole: { x: whole!.x, y } } : lazy),
    read: (indices, inputs, targets) => {
      spirals.read(indices, inputs, targets);
      indices.forEach((index, i) => (targets[i] = y[index]));
    },
  };
  await expect(train(loader(odd, { batchSize: 4 }), true)).rejects.toThrow(
    `${NAME}: example 29 has the label 3, but there are 3 classes (0 to 2)`,
  );
});

const circular: Record<string, unknown> = {};
circular['self'] = circular;

it.each<[string, Readonly<Record<string, unknown>>, string]>([
  ['batchSize NaN', { batchSize: NaN }, 'batchSize must be an integer from 1 to 2147483647, got NaN'],
  ['batchSize a string', { batchSize: '4' }, "batchSize must be an integer from 1 to 2147483647, got '4'"],
  ['stepsPerEpoch NaN', { stepsPerEpoch: NaN }, 'stepsPerEpoch must be a number above 0, got NaN'],
  ['config missing', { config: undefined }, 'config must be an object of plain data'],
  ['config circular', { config: circular }, 'config must be an object of plain data'],
])('a loader with %s', async (_, change, message) => {
  await expect((async () => train(custom(change), true))()).rejects.toThrow(`fit: data: ${message}`);
});

it('evaluate checks its data set too', async () => {
  const state = initState(model, optimizer, 1);
  const run = evaluate({ model, state, backend: reference(), data: dataset({ x: null }) });
  await expect(run).rejects.toThrow(`evaluate: ${NAME}: x must be the type of one example`);
});
