// The short form of `npm run fuzz`: some hundred cases of each target.
import { describe, expect, it } from 'vitest';
import { cifar } from './fuzz/cifar.ts';
import { complaintOf, valueOrRefusal } from './fuzz/target.ts';
import { targets } from './fuzz/targets.ts';
import { randomOf } from './random.ts';
import { isLong } from '../forms.ts';

/** Cases in the short form, for what takes longer than a millisecond. test/datasets/image-fuzz.test.ts has more images. */
const FEW: Readonly<Record<string, number>> = {
  cifar: 60,
  safetensors: 150,
  events: 30,
  results: 40,
  onnx: 150,
  cli: 20,
};

describe('the targets', () => {
  it.each(targets.map((target) => [target.name, target] as const))('%s', async (name, { run }) => {
    const cases = (name.startsWith('image-') ? 20 : (FEW[name] ?? 500)) * (isLong ? 4 : 1);
    for (let number = 0; number < cases; number++) {
      await expect(run(randomOf(1, name, number)), `case ${number} of seed 1`).resolves.toBe(undefined);
    }
  });

  it('have cases that their seed and number repeat', async () => {
    const draws = (seed: number, number: number): number[] => {
      const random = randomOf(seed, cifar.name, number);
      return [random.below(1000), random.below(1000)];
    };
    expect(draws(1, 2)).toEqual(draws(1, 2));
    expect(draws(1, 3)).not.toEqual(draws(1, 2));
  });
});

describe('the rule', () => {
  it.each([
    [new TypeError("Cannot read properties of undefined (reading 'x')"), 'has a message of V8 or Node'],
    [new SyntaxError('a.json: x (fix)'), 'threw SyntaxError'],
    [new TypeError('other: x must be y, got z'), 'does not begin with a.json'],
    [new TypeError('a.json: broken'), 'has no fix'],
    ['text', 'threw text, which is no error'],
    [new TypeError('a.json: x must be y, got z'), null],
  ])('%s', async (error, complaint) => {
    expect(complaintOf(error, ['a.json'])).toBe(complaint);
    const refusal = await valueOrRefusal(['a.json'], () => Promise.reject(error as Error)).catch(
      (thrown: Error) => thrown.message,
    );
    expect(refusal?.startsWith(`the error ${complaint}`)).toBe(complaint === null ? undefined : true);
  });
});
