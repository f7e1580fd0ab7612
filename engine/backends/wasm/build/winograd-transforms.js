// Generates the transforms of Winograd's minimal filtering from their points: the AssemblyScript source
// vectors/transforms.generated.ts, and the tables that the host passes to it.
// Plain JavaScript, because it runs before anything is compiled.
//
// Rounding depends on the order of operations, so the order here is part of every result. The shape of the code is what V8 compiles
// well and joins to vectors of 256 bits: no loops, all loads before the first store, factors from memory (parts.ts).
import { expand, filterMatrix, FORMS, ONE, POINTS, range, TRANSFORMS } from './winograd-points.js';

/** @typedef {import('./winograd-points.js').Fraction} Fraction */
/** @typedef {import('./winograd-points.js').Transform} Transform */
/** @typedef {{ readonly down: Transform, readonly across: Transform }} Form */
/** @typedef {{ readonly factor: Fraction, readonly vector: string }} Term */

/** Names of n vectors. @param {string} letter @param {number} n */
const named = (letter, n) => range(n).map((i) => `${letter}${i}`);
/** @template T @param {readonly T[]} v */
const evens = (v) => v.filter((_, k) => k % 2 === 0);
/** @template T @param {readonly T[]} v */
const odds = (v) => v.filter((_, k) => k % 2 === 1);

/**
 * The terms of Σ c_k v_k. The highest coefficient is ±1, so that the first term needs no factor. Where the coefficients read the
 * same from both ends but for their signs, two vectors share a factor.
 * @param {readonly Fraction[]} c
 * @param {readonly string[]} v
 * @param {'ascending' | 'descending'} order of the terms after the first
 * @returns {readonly Term[]}
 */
function termsOf(c, v, order) {
  const last = c.length - 1;
  if (c.some((x, k) => !x.magnitude.equals(c[last - k].magnitude))) {
    const lower = range(last).map((k) => ({ factor: c[k], vector: v[k] }));
    return [{ factor: c[last], vector: v[last] }, ...(order === 'ascending' ? lower : lower.reverse())];
  }
  return range(Math.floor(last / 2) + 1).map((k) => {
    const mirror = last - k;
    if (k === mirror) return { factor: c[k], vector: v[k] };
    if (c[k].equals(c[mirror])) return { factor: c[k], vector: `add(${v[k]}, ${v[mirror]})` };
    const [plus, minus] = c[k].isNegative ? [v[mirror], v[k]] : [v[k], v[mirror]];
    return { factor: c[k].magnitude, vector: `sub(${plus}, ${minus})` };
  });
}

/** The rows of Bᵀ: those of 0 and ∞, and of each pair the even and the odd part. @param {Transform} transform */
function inputRows({ size }) {
  const { pairs, inTable } = POINTS[size];
  const d = named('d', size);
  const order = inTable ? 'descending' : 'ascending';
  const w = expand(pairs);
  return {
    zero: termsOf(w[0].isNegative ? w.map((c) => c.negated) : w, evens(d), order),
    infinity: termsOf(w, odds(d), order),
    pairs: pairs.map((p) => {
      const r = expand(pairs.filter((q) => q !== p));
      return {
        even: termsOf(r, evens(d).slice(1), order),
        odd: termsOf(r, odds(d).slice(0, -1), order),
      };
    }),
  };
}

/** @param {readonly Term[]} terms */
const vectorsOf = (terms) => terms.map(({ vector }) => vector);
/** @param {readonly Term[]} terms */
const factorsOf = (terms) => terms.slice(1).map(({ factor }) => factor);

/**
 * The factors that the host passes to a transform: of the rows of 0 and ∞, then of each pair those of R, from z⁰ on, and the powers
 * of p, from 1 on. With the offsets in bytes of both for each pair.
 * @param {Transform} transform
 */
export function tableOf(transform) {
  const { pairs, inTable } = POINTS[transform.size];
  const rows = inputRows(transform);
  const factors = inTable ? factorsOf(rows.zero) : [];
  const offsets = (inTable ? pairs : []).map((p, i) => {
    const r = factorsOf(rows.pairs[i].even);
    const offset = { r: 4 * factors.length, powers: 4 * (factors.length + r.length) };
    if (p.equals(ONE)) factors.push(...r);
    else factors.push(...r.reverse(), ...range(transform.m - 1).map((k) => p.power(k + 1)));
    return offset;
  });
  return { factors, offsets };
}

/** A factor in static memory. @param {Fraction} factor */
const quotient = ({ n, d }) => `factor(Q${n}${d === 1n ? '' : `_${d}`})`;

/** A factor some bytes after an address. @param {string} address @param {number} offset */
const factorAt = (address, offset) => `factor(${offset === 0 ? address : `${address} + ${offset}`})`;

/** Σ c_k v_k with factors from static memory. @param {readonly Term[]} terms */
const dot = ([first, ...rest]) =>
  rest.reduce((sum, { factor, vector }) => {
    const multiply = factor.isNegative ? 'fnma' : 'fma';
    return `${multiply}(${vector}, ${quotient(factor.magnitude)}, ${sum})`;
  }, first.vector);

/** Σ c_k v_k with factors c_1 … as texts, and c_0 = 1. @param {readonly string[]} v @param {readonly string[]} factors */
const chain = ([first, ...rest], factors) =>
  rest.reduce((sum, vector, i) => `fma(${vector}, ${factors[i]}, ${sum})`, first);

/** The sum of three to six vectors in pairs. Of three the last stands alone, of five the first. @param {readonly string[]} v */
function addUp(v) {
  const begin = v.length === 5 ? 1 : 0;
  const pairs = range(Math.ceil((v.length - begin) / 2)).map((i) =>
    v.slice(begin + 2 * i, begin + 2 * i + 2),
  );
  return [...v.slice(0, begin), ...pairs.map(([a, b]) => (b === undefined ? a : `add(${a}, ${b})`))].reduce(
    (sum, x) => `add(${sum}, ${x})`,
  );
}

/** @param {string} letter @param {number} i */
const address = (letter, i) => (i === 0 ? letter : `${letter}${i}`);

/** @param {'x' | 'y'} letter @param {number} i */
const advance = (letter, i) =>
  `const ${letter}${i} = next(${letter}, ${address(letter, i - 1)}, ${i}, s${letter}, ${letter === 'x' ? '' : '!'}last);`;

/** @param {readonly string[]} v */
const loads = (v) =>
  v.flatMap((vector, i) => [
    ...(i > 0 ? [advance('x', i)] : []),
    `const ${vector} = v128.load(${address('x', i)});`,
  ]);

/** The addresses of n results. @param {number} n */
const addresses = (n) => range(n - 1).map((i) => advance('y', i + 1));

/** @param {number} i @param {string} value */
const store = (i, value) => `v128.store(${address('y', i)}, ${value});`;

/** Stores rows ±p from the parts e and o of pair i. @param {number} i @param {string} p */
const storePair = (i, p) => `storePair(y${2 * i + 1}, y${2 * i + 2}, e${i}, o${i}, ${p});`;

/** Stores rows ±1 from the parts e and o of pair i. @param {number} i */
const storeOnes = (i) => [store(2 * i + 1, `add(e${i}, o${i})`), store(2 * i + 2, `sub(e${i}, o${i})`)];

/** @param {string} about @param {string} name @param {string} parameters @param {readonly string[]} body */
const inlined = (about, name, parameters, body) => `/** ${about} */
// @ts-ignore: decorator
@inline function ${name}(x: usize, sx: usize, y: usize, sy: usize, last: bool${parameters}): void {
${body.map((line) => `  ${line}`).join('\n')}
}`;

/** Bᵀ. @param {Transform} transform */
function writeInput(transform) {
  const { size } = transform;
  const { pairs, inTable } = POINTS[size];
  const { zero, infinity, pairs: rows } = inputRows(transform);
  const body = [...loads(named('d', size)), ...addresses(size)];
  if (inTable) {
    const w = named('w', zero.length - 1);
    body.push(...w.map((name, i) => `const ${name} = ${factorAt('factors', 4 * i)};`));
    body.push(store(0, chain(vectorsOf(zero), w)), store(size - 1, chain(vectorsOf(infinity), w)));
    body.push(...pairs.flatMap((_, i) => inputPairFromTable(transform, i)));
  } else {
    body.push(store(0, dot(zero)));
    pairs.forEach((p, i) => {
      body.push(`const e${i} = ${dot(rows[i].even)};`, `const o${i} = ${dot(rows[i].odd)};`);
      body.push(...(p.equals(ONE) ? storeOnes(i) : [storePair(i, quotient(p))]));
    });
    body.push(store(size - 1, dot(infinity)));
  }
  return inlined(`Bᵀ of ${size} values.`, `input${size}`, inTable ? ', factors: usize' : '', body);
}

/** Rows ±p of Bᵀ with factors from the table. @param {Transform} transform @param {number} i */
function inputPairFromTable(transform, i) {
  const rows = inputRows(transform).pairs[i];
  const [even, odd] = [vectorsOf(rows.even), vectorsOf(rows.odd)];
  const { r, powers } = tableOf(transform).offsets[i];
  const count = even.length - 1;
  if (POINTS[transform.size].pairs[i].equals(ONE)) {
    const factors = range(count).map((k) => factorAt('factors', r + 4 * k));
    return [
      `const e${i} = ${chain(even, factors)};`,
      `const o${i} = ${chain(odd, factors)};`,
      ...storeOnes(i),
    ];
  }
  const body = [`const a${i} = factors + ${r};`];
  for (let k = 1; k <= count; k++) {
    const [declare, e, o] = k === 1 ? ['let ', even[0], odd[0]] : ['', `e${i}`, `o${i}`];
    const f = `f${i}${count - k}`;
    body.push(`const ${f} = ${factorAt(`a${i}`, 4 * (count - k))};`);
    body.push(
      `${declare}e${i} = fma(${even[k]}, ${f}, ${e});`,
      `${declare}o${i} = fma(${odd[k]}, ${f}, ${o});`,
    );
  }
  return [...body, storePair(i, factorAt(`a${i}`, powers - r))];
}

/**
 * A row of Aᵀ: Σ p^k v over the pairs, after the value of ∞ where the row has one.
 * @param {readonly string[]} v
 * @param {readonly string[]} powers those of the point 1 are left out
 * @param {string | null} infinity
 */
function outputRow(v, powers, infinity) {
  if (powers.length < v.length) {
    const [one, ...others] = v;
    return chain([infinity === null ? one : `add(${one}, ${infinity})`, ...others], powers);
  }
  if (infinity !== null) return chain([infinity, ...v], powers);
  return chain([`f32x4.mul(${v[0]}, ${powers[0]})`, ...v.slice(1)], powers.slice(1));
}

/** Aᵀ. @param {Transform} transform */
function writeOutput(transform) {
  const { size, m } = transform;
  const { pairs, inTable } = POINTS[size];
  const hasOne = pairs[0].equals(ONE);
  /** Offsets in the table of the pairs that need powers. */
  const offsets = tableOf(transform)
    .offsets.slice(hasOne ? 1 : 0)
    .map(({ powers }) => powers);
  const put = (/** @type {number} */ k, /** @type {string} */ value) =>
    inTable ? store(k, value) : `finish(${address('y', k)}, ${value}, last, shift, floor);`;
  const body = loads(named('m', size));
  pairs.forEach((_, i) => {
    const values = `m${2 * i + 1}, m${2 * i + 2}`;
    body.push(`const s${i} = add(${values});`, `const d${i} = sub(${values});`);
  });
  body.push(put(0, addUp(['m0', ...named('s', pairs.length)])));
  for (let k = 1; k < m; k++) {
    body.push(advance('y', k));
    let powers = pairs.filter((p) => !p.equals(ONE)).map((p) => quotient(p.power(k)));
    if (inTable) {
      const [first, second, ...others] = offsets;
      body.push(
        `const p${k} = factors + ${first + 4 * (k - 1)};`,
        `const q${k} = p${k} + ${second - first};`,
      );
      powers = [`p${k}`, `q${k}`, ...others.map((offset) => `q${k} + ${offset - second}`)].map(
        (at) => `factor(${at})`,
      );
    }
    const v = named(k % 2 === 0 ? 's' : 'd', pairs.length);
    if (k < m - 1) body.push(put(k, outputRow(v, powers, null)));
    else if (inTable && hasOne) body.push(put(k, `add(${outputRow(v, powers, null)}, m${size - 1})`));
    else body.push(put(k, outputRow(v, powers, `m${size - 1}`)));
  }
  const parameters = inTable ? ', factors: usize' : ', shift: v128, floor: v128';
  return inlined(`Aᵀ of ${size} values: ${m} outputs.`, `output${size}to${m}`, parameters, body);
}

/** A. @param {Transform} transform */
function writeGrad(transform) {
  const { size, m } = transform;
  const { pairs, inTable } = POINTS[size];
  const d = named('d', m);
  const zero = store(0, d[0]);
  const body = [...loads(d), ...addresses(size)];
  // With a table, the sums of ±1 come before the first store.
  if (!inTable || !pairs[0].equals(ONE)) body.push(zero);
  pairs.forEach((p, i) => {
    if (p.equals(ONE)) {
      body.push(`const e${i} = ${addUp(evens(d))};`, `const o${i} = ${addUp(odds(d))};`);
      if (inTable) body.push(zero);
      body.push(...storeOnes(i));
    } else if (inTable) {
      body.push(...gradPairFromTable(transform, i));
    } else {
      const powers = range(m / 2 - 1).map((k) => quotient(p.power(2 * k + 2)));
      body.push(`const e${i} = ${chain(evens(d), powers)};`, `const o${i} = ${chain(odds(d), powers)};`);
      body.push(storePair(i, quotient(p)));
    }
  });
  body.push(store(size - 1, d[m - 1]));
  const parameters = inTable ? ', factors: usize' : '';
  return inlined(
    `A of ${m} values, the adjoint of output${size}to${m}.`,
    `grad${m}to${size}`,
    parameters,
    body,
  );
}

/** Rows ±p of A by Horner's scheme, which needs one factor. @param {Transform} transform @param {number} i */
function gradPairFromTable(transform, i) {
  const { offsets } = tableOf(transform);
  const { powers } = offsets[i];
  const first = POINTS[transform.size].pairs.findIndex((p) => !p.equals(ONE));
  const from = i === first ? `factors + ${powers}` : `a${first} + ${powers - offsets[first].powers}`;
  const body = [`const a${i} = ${from};`, `const square${i} = ${factorAt(`a${i}`, 4)};`];
  const d = named('d', transform.m);
  const [even, odd] = [evens(d).reverse(), odds(d).reverse()];
  for (let k = 1; k < even.length; k++) {
    const [declare, e, o] = k === 1 ? ['let ', even[0], odd[0]] : ['', `e${i}`, `o${i}`];
    body.push(
      `${declare}e${i} = fma(${e}, square${i}, ${even[k]});`,
      `${declare}o${i} = fma(${o}, square${i}, ${odd[k]});`,
    );
  }
  return [...body, storePair(i, factorAt(`a${i}`, 0))];
}

// The passes over a tile: its columns into `half`, whose stride is known, and the rows of that.

/**
 * From the pixels of a tile to its elements: Bᵀ d B or A dy Aᵀ.
 * @param {Form} form
 * @param {string} name
 * @param {number} pixels of a row
 * @param {{ readonly columns: string, readonly rows: string }} functions the 1-D transforms
 */
function writeTile({ down: { size: tall }, across: { size: wide } }, name, pixels, { columns, rows }) {
  const { inTable } = POINTS[tall];
  return `export function ${name}(
  from: usize, row: usize, pixel: usize, half: usize, to: usize, step: usize${inTable ? ', factors: usize' : ''},
): void {
  for (const end = from + pixel; from < end; from += V, to += V) {
    let x = from;
    let y = to;
    for (let j: usize = 0; j < ${pixels} * V; j += V, x += pixel) {
      ${columns}(x, row, half + j, ${pixels} * V, false${inTable ? ', factors' : ''});
    }
    for (let i: usize = 0; i < ${tall * pixels} * V; i += ${pixels} * V, y += ${wide} * step) {
      ${rows}(half + i, V, y, step, true);
    }
  }
}`;
}

/** Bᵀ d B. @param {Form} form */
function writeInputTile(form) {
  const { size: tall } = form.down;
  const { size: wide } = form.across;
  return writeTile(form, `inputTile${tall}`, wide, { columns: `input${tall}`, rows: `input${wide}` });
}

/** A dy Aᵀ. @param {Form} form */
function writeGradTile(form) {
  const [columns, rows] = [form.down, form.across].map(({ m, size }) => `grad${m}to${size}`);
  return writeTile(form, columns.replace('grad', 'gradTile'), form.across.m, { columns, rows });
}

/** Aᵀ M A. @param {Form} form */
function writeOutputTile({ down: { size: tall, m }, across: { size: wide, m: n } }) {
  const { inTable } = POINTS[tall];
  return `export function outputTile${tall}to${m}(
  from: usize, bytes: usize, step: usize, half: usize, y: usize, row: usize, pixel: usize,
  bias: usize, shifts: usize, lowest: f32${inTable ? ', factors: usize' : ''},
): void {
${inTable ? '' : '  const none = splat(0);\n'}  const floor = splat(lowest);
  for (const end = from + bytes; from < end; from += V, y += V, bias += shifts) {
    const shift = v128.load(bias);
    let x = from;
    let z = y;
    for (let j: usize = 0; j < ${wide} * V; j += V, x += step) {
      output${tall}to${m}(x, ${wide} * step, half + j, ${wide} * V, false, ${inTable ? 'factors' : 'none, none'});
    }
    for (let i: usize = 0; i < ${m * wide} * V; i += ${wide} * V, z += row) {
      output${wide}to${n}(half + i, V, z, pixel, true, shift, floor);
    }
  }
}`;
}

/**
 * An if for each form that calls its function. What is left for the last form needs no test.
 * @param {readonly Form[]} forms
 * @param {(form: Form, factors: string) => string} call
 */
function dispatch(forms, call) {
  const calls = forms.map((form, i) => {
    const { down, across } = form;
    const isLastTall = forms.slice(i + 1).every((later) => later.down.size !== down.size);
    const test = isLastTall ? `tall == ${down.size}` : `n == ${across.m}`;
    const statement = `${call(form, POINTS[down.size].inTable ? ', factors' : '')};`;
    return i === forms.length - 1 ? statement : `if (${test}) ${statement}`;
  });
  return `  ${calls.join('\n  else ')}`;
}

/** Constants that say how the kernels use scratch memory, in vectors. */
function writeScratch() {
  const most = (/** @type {(form: Form) => number} */ vectors) => Math.max(...FORMS.map(vectors));
  // Regions begin at multiples of 32 vectors, so that all are aligned alike.
  const up = (/** @type {number} */ vectors) => Math.ceil(vectors / 32) * 32;
  const corner = up(most(({ down, across }) => down.m * across.size));
  const outputs = most(({ down, across }) => down.m * across.m);
  const tile = up(
    Math.max(
      corner + outputs,
      most(({ down, across }) => down.size * across.size),
    ),
  );
  const filterHalf = up(most(({ down, across }) => 2 * down.r * across.r));
  const filter = filterHalf + up(most(({ down, across }) => 2 * down.size * across.r));
  const result = most(({ down, across }) => (down.size + down.r) * across.size);
  const finish = result + most(({ down, across }) => down.r * across.r);
  return `/** Vectors of scratch memory to transform a tile in: \`half\`, and from TILE_CORNER on the outputs of a tile at an edge. */
export const TILE_CORNER: usize = ${corner};
export const TILE_SCRATCH: usize = ${tile};
/** To transform a panel of filters in: its taps, and from FILTER_HALF on its transformed columns. */
export const FILTER_HALF: usize = ${filterHalf};
export const FILTER_SCRATCH: usize = ${filter};
/** To transform weight gradients in: tile elements, transformed columns, and from FINISH_RESULT on the taps. */
export const FINISH_RESULT: usize = ${result};
export const FINISH_SCRATCH: usize = ${finish};`;
}

/** The text of vectors/transforms.generated.ts. */
export function writeTransforms() {
  const transforms = Object.values(TRANSFORMS);
  /** The transforms and forms whose inputs differ: F(4, 5) and F(6, 3) have the same Bᵀ. */
  const inputs = transforms.filter(({ size }, i) => transforms.findIndex((one) => one.size === size) === i);
  const inputForms = FORMS.filter(({ down }) => inputs.includes(down));
  const code = [
    ...inputs.map(writeInput),
    ...transforms.flatMap((transform) => [writeOutput(transform), writeGrad(transform)]),
    `// Every form has functions of its own: with several forms in one, V8 keeps the constants of all of them.

/**
 * Bᵀ d B of one tile of \`tall\` rows. Its pixels are \`pixel\` bytes apart, its rows \`row\` bytes, and the tile elements \`step\`
 * bytes. \`half\` has room for as many vectors as there are tile elements.
 */
export function inputTile(
  from: usize, row: usize, pixel: usize, half: usize, to: usize, step: usize, tall: i32, factors: usize,
): void {
${dispatch(inputForms, ({ down }, factors) => `inputTile${down.size}(from, row, pixel, half, to, step${factors})`)}
}`,
    ...inputForms.map(writeInputTile),
    `/**
 * Aᵀ M A of one tile for \`bytes\` of filters (whole vectors), from tile elements \`step\` bytes apart to m × n pixels. Adds the
 * values at \`bias\` (0 for none). No result is less than \`lowest\`: 0 for relu.
 */
export function outputTile(
  from: usize, bytes: usize, step: usize, half: usize, y: usize, row: usize, pixel: usize,
  tall: i32, n: i32, bias: usize, lowest: f32, factors: usize,
): void {
  // Without a bias, zeros are added, the same for all filters.
  const shifts: usize = bias != 0 ? V : 0;
  if (bias == 0) bias = ZEROS;
${dispatch(FORMS, ({ down }, factors) => `outputTile${down.size}to${down.m}(from, bytes, step, half, y, row, pixel, bias, shifts, lowest${factors})`)}
}`,
    ...FORMS.map(writeOutputTile),
    `/** A dy Aᵀ of one tile, laid out like the result of inputTile. */
export function gradTile(
  from: usize, row: usize, pixel: usize, half: usize, to: usize, step: usize, tall: i32, n: i32, factors: usize,
): void {
${dispatch(FORMS, ({ down }, factors) => `gradTile${down.m}to${down.size}(from, row, pixel, half, to, step${factors})`)}
}`,
    ...FORMS.map(writeGradTile),
  ].join('\n\n');
  const quotients = [...new Set(code.match(/\bQ\d+(_\d+)?\b/g))];
  const values = quotients.map((name) => name.slice(1).replace('_', '.0 / '));
  return `// Generated by winograd-transforms.js from the points in winograd-points.js. Not committed.
import { fma, fnma, splat } from "../simd";
import { V, ZEROS } from "../width";
import { add, factor, finish, next, storePair, sub } from "./parts";

/** Factors of the transforms of few values: Q21_4 is the address of 21 / 4. */
const QUOTIENTS: usize = memory.data<f32>([
  ${values.join(', ')},
]);
${quotients.map((name, i) => `const ${name}: usize = QUOTIENTS + ${4 * i};`).join('\n')}

${writeScratch()}

// 1-D transforms of the vectors at x, x + sx … to y, y + sy …; \`last\` in the second pass over a tile.

${code}
`;
}

/** The tables of the 1-D transforms for the host, as TypeScript: G and the factors of the kernels, in single precision. */
export function writeTables() {
  const array = (/** @type {readonly Fraction[]} */ values) =>
    `Float32Array.of(${values.map((value) => value.toFloat()).join(', ')})`;
  const entries = Object.entries(TRANSFORMS).map(([name, transform]) => {
    const { size, m, r } = transform;
    const tables = `g: ${array(filterMatrix(transform).flat())}, factors: ${array(tableOf(transform).factors)}`;
    return `  ${name}: { size: ${size}, m: ${m}, r: ${r}, ${tables} },`;
  });
  return `export const TRANSFORMS = {\n${entries.join('\n')}\n};`;
}
