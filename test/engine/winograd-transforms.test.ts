// The generated Winograd transforms against the definition, in exact fractions: the generated source runs here as JavaScript, on
// vectors of one fraction each.
import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import plain from '../../engine/backends/wasm/binaries/plain.generated.ts';
import { TRANSFORMS as TABLES } from '../../engine/backends/wasm/kernels.generated.ts';
import {
  filterMatrix,
  FORMS,
  Fraction,
  range,
  TRANSFORMS,
} from '../../engine/backends/wasm/build/winograd-points.js';
import { tableOf, writeTransforms } from '../../engine/backends/wasm/build/winograd-transforms.js';

type Transform = (typeof TRANSFORMS)[keyof typeof TRANSFORMS];
type TransformFunction = (
  x: number,
  sx: number,
  y: number,
  sy: number,
  last: boolean,
  ...rest: unknown[]
) => void;
type TileFunction = (...words: readonly number[]) => void;

const source = writeTransforms();
const sourceOfParts = readFileSync(
  new URL('../../engine/backends/wasm/kernels/vectors/parts.ts', import.meta.url),
  'utf8',
);

const integer = (n: number): Fraction => new Fraction(BigInt(n));
const add = (a: Fraction, b: Fraction): Fraction => a.plus(b);
const fma = (a: Fraction, b: Fraction, c: Fraction): Fraction => a.times(b).plus(c);
const isLess = (a: Fraction, b: Fraction): boolean => a.plus(b.negated).isNegative;
const sumOf = (values: readonly Fraction[]): Fraction => values.reduce(add, integer(0));

/** Bytes of a vector. */
const V = 16;
/** What the functions work on, each in a region of its own. */
const REGION = 0x10000;
const [ZEROS, QUOTIENTS, FACTORS, BIAS, X, HALF, ELEMENTS, Y] = range(8).map((i) => (i + 1) * REGION);

const memory = new Map<number, Fraction>([[ZEROS, integer(0)]]);
function load(address: number): Fraction {
  const value = memory.get(address);
  if (value === undefined) throw new Error(`nothing was stored at ${address}`);
  return value;
}
function store(address: number, value: Fraction): void {
  memory.set(address, value);
}
/** Forgets a region, so that nothing reads what an earlier call has stored. */
function clear(region: number): void {
  for (const address of memory.keys())
    if (address >= region && address < region + REGION) memory.delete(address);
}

/** The quotients in static memory, as the source writes them. */
const quotients = /memory\.data<f32>\(\[\s*([^\]]*?),?\s*\]\)/
  .exec(source)![1]
  .split(', ')
  .map((text) => Fraction.parse(text.replace('.0 / ', '/')));
quotients.forEach((value, i) => store(QUOTIENTS + 4 * i, value));

/** The functions of the generated source, by name. */
const functions = ((): Readonly<Record<string, unknown>> => {
  const script = `${sourceOfParts}\n${source}`
    .replaceAll(/^import .*$/gm, '')
    .replaceAll(/memory\.data<f32>\(\[[^\]]*\]\)/g, 'QUOTIENTS_ADDRESS')
    .replaceAll(/@inline |\bexport /g, '')
    .replaceAll(/: (usize|v128|bool|i32|f32|void)\b/g, '');
  const names = [...script.matchAll(/function (\w+)/g)].map(([, name]) => name);
  const context = {
    V,
    ZEROS,
    QUOTIENTS_ADDRESS: QUOTIENTS,
    v128: { load, store, load32_splat: load },
    f32x4: {
      add,
      sub: (a: Fraction, b: Fraction) => a.plus(b.negated),
      mul: (a: Fraction, b: Fraction) => a.times(b),
      pmax: (a: Fraction, b: Fraction | null) => (b !== null && isLess(a, b) ? b : a),
    },
    fma,
    fnma: (a: Fraction, b: Fraction, c: Fraction) => fma(a, b.negated, c),
    splat: (x: number) => (x === -Infinity ? null : integer(x)),
  };
  return runInNewContext(`${script}\n({ ${names.join(', ')} })`, context) as Record<string, unknown>;
})();

/** Puts the table of a transform where the kernels find it. */
function placeTable(transform: Transform): void {
  tableOf(transform).factors.forEach((value, i) => store(FACTORS + 4 * i, value));
}

/** A 1-D transform of vectors that lie three apart, to vectors two apart. */
function apply(name: string, values: readonly Fraction[], results: number, last: boolean): Fraction[] {
  const transform = functions[name] as TransformFunction;
  clear(X);
  clear(Y);
  values.forEach((value, i) => store(X + 3 * V * i, value));
  const inTable = transform.length === 6;
  transform(X, 3 * V, Y, 2 * V, last, ...(inTable ? [FACTORS] : [integer(0), null]));
  return range(results).map((i) => load(Y + 2 * V * i));
}

const unit = (n: number, k: number): Fraction[] => range(n).map((i) => integer(i === k ? 1 : 0));
const multiply = (matrix: readonly (readonly Fraction[])[], v: readonly Fraction[]): Fraction[] =>
  matrix.map((row) => sumOf(row.map((factor, i) => factor.times(v[i]))));
const transpose = (matrix: readonly (readonly Fraction[])[]): Fraction[][] =>
  matrix[0].map((_, i) => matrix.map((row) => row[i]));
const product = (a: readonly Fraction[], b: readonly Fraction[]): Fraction[] =>
  a.map((x, i) => x.times(b[i]));
const text = (values: readonly Fraction[]): string =>
  values.map(({ n, d }) => (d === 1n ? n : `${n}/${d}`)).join(' ');

describe('1-D transforms are correlations, in either pass', () => {
  const cases = Object.entries(TRANSFORMS).flatMap(([name, transform]) =>
    [false, true].map((last) => ({ name, transform, last })),
  );

  it.each(cases)('outputs of $name, last $last: Aᵀ[(G g) ∘ (Bᵀ d)]', ({ transform, last }) => {
    const { size, m, r } = transform;
    placeTable(transform);
    const filters = transpose(filterMatrix(transform));
    for (let j = 0; j < size; j++) {
      const elements = apply(`input${size}`, unit(size, j), size, last);
      for (let tap = 0; tap < r; tap++) {
        const outputs = apply(`output${size}to${m}`, product(filters[tap], elements), m, last);
        expect(text(outputs)).toBe(text(unit(m, j - tap)));
      }
    }
  });

  it.each(cases)('weight gradients of $name, last $last: Gᵀ[(Bᵀ d) ∘ (A dy)]', ({ transform, last }) => {
    const { size, m, r } = transform;
    placeTable(transform);
    const back = transpose(filterMatrix(transform));
    for (let j = 0; j < size; j++) {
      const elements = apply(`input${size}`, unit(size, j), size, last);
      for (let k = 0; k < m; k++) {
        const grads = apply(`grad${m}to${size}`, unit(m, k), size, last);
        expect(text(multiply(back, product(elements, grads)))).toBe(text(unit(r, j - k)));
      }
    }
  });
});

/** Values of two channels, rows × columns, that no symmetry maps to each other. */
const image = (rows: number, columns: number, seed: number): number[][][] =>
  range(2).map((c) =>
    range(rows).map((y) => range(columns).map((x) => ((y * y * 7 + x * 5 + x * y + 3 * c + seed) % 13) - 6)),
  );

const CHANNELS = 2 * V;
/** Rows of pixels have room for more than a tile. */
const ROW = 20 * CHANNELS;

function storeImage(values: readonly (readonly (readonly number[])[])[]): void {
  clear(X);
  values.forEach((plane, c) =>
    plane.forEach((row, y) =>
      row.forEach((value, x) => store(X + y * ROW + x * CHANNELS + c * V, integer(value))),
    ),
  );
}

const correlate = (
  d: readonly (readonly number[])[],
  g: readonly (readonly number[])[],
  rows: number,
  columns: number,
): number[][] =>
  range(rows).map((y) =>
    range(columns).map((x) =>
      g.reduce((sum, row, i) => row.reduce((s, factor, j) => s + factor * d[y + i][x + j], sum), 0),
    ),
  );

const integers = (matrix: readonly (readonly number[])[]): Fraction[][] =>
  matrix.map((row) => row.map(integer));

/** L M Rᵀ. */
const sandwich = (
  left: readonly (readonly Fraction[])[],
  matrix: readonly (readonly Fraction[])[],
  right: readonly (readonly Fraction[])[],
): Fraction[][] =>
  transpose(transpose(matrix.map((row) => multiply(right, row))).map((column) => multiply(left, column)));

describe('2-D transforms are correlations', () => {
  const forms = FORMS.map((form) => ({
    ...form,
    name: `F(${form.down.m}×${form.across.m}, ${form.down.r}×${form.across.r})`,
  }));

  /** Runs inputTile or gradTile, and returns its tile elements for each channel. */
  function elementsOf(
    name: 'inputTile' | 'gradTile',
    { down, across }: (typeof FORMS)[number],
  ): Fraction[][][] {
    placeTable(down);
    clear(HALF);
    clear(ELEMENTS);
    const form = name === 'inputTile' ? [down.size] : [down.size, across.m];
    (functions[name] as TileFunction)(X, ROW, CHANNELS, HALF, ELEMENTS, CHANNELS, ...form, FACTORS);
    return range(2).map((c) =>
      range(down.size).map((u) =>
        range(across.size).map((v) => load(ELEMENTS + (u * across.size + v) * CHANNELS + c * V)),
      ),
    );
  }

  it.each(forms)('outputs of $name, with bias and relu', (form) => {
    const { down, across } = form;
    const d = image(down.size, across.size, 1);
    const g = image(down.r, across.r, 4);
    storeImage(d);
    const elements = elementsOf('inputTile', form);
    const filters = g.map((plane) => sandwich(filterMatrix(down), integers(plane), filterMatrix(across)));
    elements.forEach((plane, c) =>
      plane.forEach((row, u) =>
        product(row, filters[c][u]).forEach((value, v) =>
          store(ELEMENTS + (u * across.size + v) * CHANNELS + c * V, value),
        ),
      ),
    );
    const outputs = (bias: number, lowest: number): number[][][] => {
      clear(HALF);
      clear(Y);
      const form = [down.size, across.m, bias, lowest, FACTORS];
      (functions['outputTile'] as TileFunction)(
        ELEMENTS,
        CHANNELS,
        CHANNELS,
        HALF,
        Y,
        ROW,
        CHANNELS,
        ...form,
      );
      return range(2).map((c) =>
        range(down.m).map((y) =>
          range(across.m).map((x) => {
            const { n, d: denominator } = load(Y + y * ROW + x * CHANNELS + c * V);
            expect(denominator).toBe(1n);
            return Number(n);
          }),
        ),
      );
    };
    const expected = d.map((plane, c) => correlate(plane, g[c], down.m, across.m));
    expect(outputs(0, -Infinity)).toEqual(expected);
    [7, -9].forEach((value, c) => store(BIAS + c * V, integer(value)));
    expect(outputs(BIAS, 0)).toEqual(
      expected.map((plane, c) => plane.map((row) => row.map((value) => Math.max(0, value + [7, -9][c])))),
    );
  });

  it.each(forms)('weight gradients of $name', (form) => {
    const { down, across } = form;
    const d = image(down.size, across.size, 2);
    const dy = image(down.m, across.m, 5);
    storeImage(d);
    const inputs = elementsOf('inputTile', form);
    storeImage(dy);
    const grads = elementsOf('gradTile', form);
    const [left, right] = [transpose(filterMatrix(down)), transpose(filterMatrix(across))];
    d.forEach((plane, c) => {
      const products = inputs[c].map((row, u) => product(row, grads[c][u]));
      const expected = integers(correlate(plane, dy[c], down.r, across.r));
      expect(sandwich(left, products, right).map(text)).toEqual(expected.map(text));
    });
  });

  it.each(forms.filter(({ across }) => across.size === 8))(
    'the element (1, 1) of a gradient tile of $name is the sum of its pixels',
    (form) => {
      const dy = image(form.down.m, form.across.m, 3);
      storeImage(dy);
      const sums = elementsOf('gradTile', form).map((plane) => text([plane[1][1]]));
      expect(sums).toEqual(dy.map((plane) => String(plane.flat().reduce((a, b) => a + b))));
    },
  );
});

describe('tables are rounded to the nearest number of single precision', () => {
  /** A number of single precision as a fraction. */
  const exact = (x: number): Fraction => new Fraction(BigInt(x * 2 ** 149), 2n ** 149n);

  function expectNearest(x: number, fraction: Fraction): void {
    const bits = new Int32Array(Float32Array.of(x).buffer);
    const error = (value: number): Fraction => exact(value).plus(fraction.negated).magnitude;
    for (const step of [-1, 1]) {
      const neighbor = new Float32Array(Int32Array.of(bits[0] + step).buffer)[0];
      expect(x === 0 ? fraction.n === 0n : isLess(error(x), error(neighbor)), `${x}`).toBe(true);
    }
  }

  it.each(Object.keys(TRANSFORMS) as (keyof typeof TRANSFORMS)[])('G and the factors of %s', (name) => {
    const { size, m, r, g, factors } = TABLES[name];
    expect({ size, m, r }).toEqual(TRANSFORMS[name]);
    const pairs = [
      [g, filterMatrix(TRANSFORMS[name]).flat()],
      [factors, tableOf(TRANSFORMS[name]).factors],
    ] as const;
    for (const [table, fractions] of pairs) {
      expect(table).toHaveLength(fractions.length);
      fractions.forEach((fraction, i) => expectNearest(table[i], fraction));
    }
  });

  it('the quotients in static memory', () => {
    const floats = Float32Array.from(quotients, (value) => value.toFloat());
    floats.forEach((value, i) => expectNearest(value, quotients[i]));
    expect(Buffer.from(plain, 'base64').includes(Buffer.from(floats.buffer))).toBe(true);
  });
});
