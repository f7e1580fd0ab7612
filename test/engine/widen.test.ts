// The build's pass that doubles vectors: small functions in and out, run on memory that holds 0, 1, 2 … in single precision.
import binaryen from 'assemblyscript/binaryen';
import { describe, expect, it } from 'vitest';
import { WIDENED } from '../../engine/backends/wasm/build/build.js';
import { foldOffsets, widen, type Module } from '../../engine/backends/wasm/build/widen.js';

function parse(functions: string): Module {
  const module = binaryen.parseText(`(module (memory (export "memory") 1) ${functions})`);
  module.setFeatures(binaryen.Features.All);
  return module;
}

/** Calls an exported function, and returns the first floats of its memory. */
function run(binary: Uint8Array, name: string, args: readonly number[], count: number): number[] {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(binary)));
  const floats = new Float32Array((exports['memory'] as WebAssembly.Memory).buffer, 0, count);
  floats.forEach((_, i) => (floats[i] = i));
  (exports[name] as (...args: readonly number[]) => void)(...args);
  return [...floats];
}

/** What a function of vectors/ leaves in memory, as it is written and widened. */
function both(body: string, args: readonly number[], count: number): { narrow: number[]; wide: number[] } {
  const parameters = args.map((_, i) => `(param $${'abc'[i]} i32)`).join(' ');
  const module = parse(`(func $vectors/own/f (export "f") ${parameters} ${body})`);
  const narrow = run(module.emitBinary(), 'f', args, count);
  widen(module, /^vectors\//);
  expect(module.validate()).toBe(1);
  const wide = run(module.emitBinary(), 'f', args, count);
  module.dispose();
  return { narrow, wide };
}

describe('widen', () => {
  it('doubles loads and stores', () => {
    const { narrow, wide } = both(
      '(v128.store offset=4 (local.get $a) (v128.load (local.get $b))) (nop)',
      [0, 32],
      16,
    );
    expect(narrow).toEqual([0, 8, 9, 10, 11, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    expect(wide).toEqual([0, 8, 9, 10, 11, 12, 13, 14, 15, 9, 10, 11, 12, 13, 14, 15]);
  });

  it('doubles shifts', () => {
    const body = '(v128.store (local.get $a) (i32x4.shl (v128.load (local.get $b)) (i32.const 1))) (nop)';
    const { narrow, wide } = both(body, [0, 32], 16);
    expect(narrow.slice(4)).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    expect(wide.slice(0, 4)).toEqual(narrow.slice(0, 4));
    expect(new Set(wide.slice(4, 8)).size).toBe(4);
    expect(wide.slice(4, 8)).not.toEqual([4, 5, 6, 7]);
  });

  it('gives every vector that differs between lanes a second local', () => {
    const body = `
      (local $sum v128)
      (local.set $sum (v128.load (local.get $b)))
      (loop $next
        (local.set $sum (f32x4.add (local.get $sum) (v128.load (local.get $b))))
        (br_if $next (local.tee $c (i32.sub (local.get $c) (i32.const 1)))))
      (v128.store (local.get $a) (local.get $sum))`;
    const { narrow, wide } = both(body, [0, 32, 3], 16);
    expect(narrow.slice(0, 8)).toEqual([32, 36, 40, 44, 4, 5, 6, 7]);
    expect(wide.slice(0, 8)).toEqual([32, 36, 40, 44, 48, 52, 56, 60]);
  });

  it('keeps one local for what is the same in all lanes', () => {
    const module = parse(`(func $vectors/own/f (param $a i32) (local $factor v128)
      (local.set $factor (v128.load32_splat (local.get $a)))
      (v128.store (local.get $a) (local.get $factor)))`);
    widen(module, /^vectors\//);
    const { vars } = binaryen.getFunctionInfo(module.getFunction('vectors/own/f'));
    expect(vars).toEqual([binaryen.v128]);
    expect(module.emitText().match(/v128\.load32_splat/g)).toHaveLength(1);
    expect(module.emitText().match(/v128\.store/g)).toHaveLength(2);
    module.dispose();
  });

  it('reads a number for all lanes before the first half is stored', () => {
    const body = `(v128.store (local.get $a)
      (f32x4.mul (v128.load (local.get $a)) (v128.load32_splat offset=4 (local.get $a)))) (nop)`;
    // The factor is the second number, 9, which the first store overwrites.
    expect(both(body, [32], 16).wide.slice(8)).toEqual([8, 9, 10, 11, 12, 13, 14, 15].map((x) => 9 * x));
  });

  it('doubles statements inside branches, and takes the branch once', () => {
    const body = `(if (local.get $a)
      (then (v128.store (i32.const 0) (v128.load (i32.const 32))))
      (else (v128.store (i32.const 0) (v128.load (i32.const 64)))))`;
    expect(both(body, [1], 24).wide.slice(0, 9)).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 8]);
    expect(both(body, [0], 24).wide.slice(0, 9)).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 8]);
  });

  it('gives the labels inside a doubled statement other names', () => {
    const body = `(v128.store (i32.const 0) (block $out (result v128)
      (if (local.get $a) (then (br $out (v128.load (i32.const 32)))))
      (v128.load (i32.const 64)))) (nop)`;
    expect(both(body, [1], 24).wide.slice(0, 8)).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
    expect(both(body, [0], 24).wide.slice(0, 8)).toEqual([16, 17, 18, 19, 20, 21, 22, 23]);
  });

  it('computes an address again for the second half', () => {
    const body = `(local $at i32)
      (v128.store (i32.const 0) (v128.load (local.tee $at (i32.add (local.get $a) (i32.const 16))))) (nop)`;
    expect(both(body, [16], 16).wide.slice(0, 9)).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 8]);
  });

  it('returns the last parts of the names, and leaves other functions alone', () => {
    const body = '(v128.store (i32.const 0) (v128.load (i32.const 32))) (nop)';
    const module = parse(
      `(func $vectors/own/first ${body}) (func $other/vectors ${body}) (func $vectors/second (nop))`,
    );
    const text = (): string =>
      binaryen.emitText(binaryen.getFunctionInfo(module.getFunction('other/vectors')).body);
    const before = text();
    expect(widen(module, /^vectors\//)).toEqual(['first', 'second']);
    expect(text()).toBe(before);
    module.dispose();
  });
});

describe('widen refuses', () => {
  const store = (value: string): string => `(v128.store (i32.const 0) ${value}) (nop)`;
  const load = '(v128.load (i32.const 0))';
  it.each([
    { what: 'an expression without a rule', code: '(drop (memory.size))', message: 'there is no rule for' },
    {
      what: 'vectors as parameters',
      parameters: '(param $x v128)',
      code: store('(local.get $x)'),
      message: 'vectors/own/f has vectors as parameters or result',
    },
    {
      what: 'vectors from part of one',
      code: `(local $x v128) (local.set $x (v128.load64_zero (i32.const 0))) ${store('(local.get $x)')}`,
      message: 'vectors/own/f loads less than a vector, and not one number into all lanes',
    },
    {
      what: 'a loop inside an expression',
      code: store(`(loop $l (result v128) ${load})`),
      message: "vectors/own/f has a loop inside a vector's expression",
    },
    {
      what: 'a count inside an expression',
      parameters: '(param $n i32)',
      code: store('(v128.load (local.tee $n (i32.add (local.get $n) (i32.const 16))))'),
      message: 'vectors/own/f would count 0 twice',
    },
    {
      what: 'a scalar stored inside an expression',
      code: store(`(block (result v128) (i32.store (i32.const 64) (i32.const 1)) ${load})`),
      message: 'vectors/own/f stores a scalar',
    },
    {
      what: 'a body of one statement',
      code: `(v128.store (i32.const 0) ${load})`,
      message: 'vectors/own/f is a single statement',
    },
    {
      what: 'a number out of a vector',
      code: `(drop (v128.any_true ${load})) (nop)`,
      message: 'vectors/own/f does with a vector what cannot be doubled: (v128.any_true',
    },
  ])('$what', ({ parameters = '', code, message }) => {
    const module = parse(`(func $vectors/own/f ${parameters} ${code})`);
    expect(() => widen(module, /^vectors\//)).toThrow(`widen: ${message}`);
    module.dispose();
  });
});

it('the build widens the functions of vectors/, but not the scalar forms of generic ones', () => {
  const names = [
    'vectors/products/gemmTile',
    'vectors/columns/moments<v128>',
    'vectors/columns/moments<f32>',
    'gemm/gemm',
  ];
  const found = names.filter((name) => WIDENED.test(`engine/backends/wasm/kernels/${name}`));
  expect(found).toEqual(['vectors/products/gemmTile', 'vectors/columns/moments<v128>']);
});

describe('foldOffsets', () => {
  const address = (value: string): string => `(v128.store (i32.const 0) (v128.load offset=4 ${value}))`;
  const folded = (value: string, names = ['f']): string => {
    const module = parse(`(func $f (export "f") (param $a i32) ${address(value)})`);
    const result = binaryen.readBinary(foldOffsets(module.emitBinary(), names));
    const text = result.emitText();
    module.dispose();
    result.dispose();
    return /v128\.load.*\n.*/.exec(text)![0].replaceAll(/\s+/g, ' ');
  };

  it.each([
    ['(i32.add (local.get $a) (i32.const 16))', 'v128.load offset=20 (local.get $0)'],
    ['(i32.sub (local.get $a) (i32.const -64))', 'v128.load offset=68 (local.get $0)'],
    ['(i32.sub (local.get $a) (i32.const 16))', 'v128.load offset=4 (i32.sub'],
    ['(i32.mul (local.get $a) (i32.const 16))', 'v128.load offset=4 (i32.mul'],
    ['(i32.add (local.get $a) (local.get $a))', 'v128.load offset=4 (i32.add'],
  ])('of %s: %s', (before, after) => {
    expect(folded(before)).toBe(after);
  });

  it('leaves functions of other names alone', () => {
    expect(folded('(i32.add (local.get $a) (i32.const 16))', ['g'])).toBe('v128.load offset=4 (i32.add');
  });

  it('moves the constants of stores, and leaves scalars alone', () => {
    const module = parse(`(func $f (export "f") (param $a i32)
      (v128.store (i32.add (local.get $a) (i32.const 32)) (v128.load (i32.const 0)))
      (f32.store (i32.add (local.get $a) (i32.const 64)) (f32.const 1)))`);
    const binary = foldOffsets(module.emitBinary(), ['f']);
    expect(run(binary, 'f', [4], 20)).toEqual(run(module.emitBinary(), 'f', [4], 20));
    const result = binaryen.readBinary(binary);
    expect(result.emitText()).toContain('v128.store offset=32');
    expect(result.emitText()).not.toContain('f32.store offset');
    module.dispose();
    result.dispose();
  });
});
