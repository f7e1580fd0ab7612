/** Lists of option names are checked against the types they belong to, by the compiler: each error below is expected. */
import { describe, expect, test } from 'vitest';
import { checkOptions } from '../../engine/options.ts';
import { positive, read } from '../../schedulers/options.ts';

interface Options {
  readonly rate?: number;
  readonly size: number;
}
const options: Options = { size: 3 };

describe('checkOptions', () => {
  test('accepts every option of the type, given or not', () => {
    expect(() => checkOptions('place', options, ['rate', 'size'])).not.toThrow();
  });

  test('does not compile where a name is missing', () => {
    // @ts-expect-error -- 'rate' is missing
    expect(() => checkOptions('place', options, ['size'])).not.toThrow();
  });

  test('does not compile where a name belongs to no option', () => {
    // @ts-expect-error -- there is no option 'depth'
    expect(() => checkOptions('place', options, ['rate', 'size', 'depth'])).not.toThrow();
  });

  test('refuses an option that is not in the list', () => {
    const misspelt = { size: 3, raet: 1 } as Options;
    expect(() => checkOptions('place', misspelt, ['rate', 'size'])).toThrow(
      "place: unknown option 'raet' (did you mean 'rate'? known: rate, size)",
    );
  });
});

describe('read', () => {
  test('returns the checked values', () => {
    expect(read('place', { ...options, rate: 2 }, { rate: positive, size: positive })).toEqual({
      rate: 2,
      size: 3,
    });
  });

  test('does not compile where a check is missing', () => {
    // @ts-expect-error -- 'rate' is missing, and at run time 'rate' is then unknown
    expect(() => read('place', { rate: 1, size: 3 }, { size: positive })).toThrow("unknown option 'rate'");
  });

  test('does not compile where a check belongs to no option', () => {
    // @ts-expect-error -- there is no option 'depth'
    expect(() => read('place', { size: 3 }, { size: positive, depth: positive })).toThrow('depth must be');
  });
});
