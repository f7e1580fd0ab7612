/** Random numbers and masks. */
import { normalOf, philox } from '../../../rng.ts';
import type { KernelTable } from '../../backend.ts';
import type { Call } from './call.ts';

export const randomKernels = {
  dropout({ inputs: [x, step], outputs: [y], attrs: { rate, key0, key1 } }) {
    const words = new Uint32Array(4);
    const threshold = Math.round(rate * 2 ** 32);
    for (let i = 0; i < x.size; i++) {
      if (i % 4 === 0) philox([key0, key1], i / 4, 0, step.data[0], 0, words);
      y.data[i] = words[i % 4] >= threshold ? x.data[i] / (1 - rate) : 0;
    }
  },

  random({ inputs: [step], outputs: [y], attrs: { distribution, key0, key1 } }) {
    const words = new Uint32Array(4);
    for (let i = 0; i < y.size; i++) {
      if (i % 4 === 0) philox([key0, key1], i / 4, 0, step.data[0], 0, words);
      const word = words[i % 4];
      // Rounded to single precision in every mode: the same numbers on every backend.
      y.data[i] = distribution === 'normal' ? Math.fround(normalOf(word)) : (word >>> 8) / 2 ** 24;
    }
  },
} satisfies Partial<KernelTable<Call>>;
