/** Gradient checks: compares derivatives with finite differences in double precision. */
import { reference } from '../backends/reference/reference.ts';
import { compile } from '../compile.ts';
import { GradientError, ShapeError } from '../errors.ts';
import { grad } from '../grad.ts';
import { expectTensor } from '../op.ts';
import { hostTensor } from '../ops/convert.ts';
import { mul, sum, tensor, type Nested } from '../ops/index.ts';
import {
  checkFunction,
  checkInteger,
  checkNumber,
  checkOptions,
  isPromise,
  isRecord,
  show,
} from '../options.ts';
import { stream } from '../rng.ts';
import { checkList, formatType, sizeOf, stridesOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { HostData, HostTensor, Shape } from '../types.ts';

export interface GradcheckOptions {
  /** Names of the inputs to differentiate with respect to. Default: all `f32` inputs. */
  readonly wrt?: readonly string[];
  /** Half the distance of the two points of a difference, in the unit of the input. Default 1e-5. */
  readonly step?: number;
  /** Maximum error, relative to the largest derivative with respect to the same input, or to 1 if all are smaller. Default 1e-6. */
  readonly tolerance?: number;
  /** Maximum number of elements to check per input. Larger inputs are also checked along random directions. Default 64. */
  readonly elements?: number;
  /** Number of random directions for inputs with more elements. Default 2. */
  readonly directions?: number;
  /** Determines the random elements, directions and weights. Default 0. */
  readonly seed?: number;
}

/** One derivative, computed in both ways. */
export interface GradcheckRow {
  /** `x[0,2]`, or `x along random direction 1`. */
  readonly place: string;
  /** The derivative from `grad`. */
  readonly byGrad: number;
  /** The derivative from finite differences. */
  readonly byDifferences: number;
  /** Their difference, relative like `GradcheckOptions.tolerance`. */
  readonly error: number;
}

/** The result of `gradcheck`. */
export interface GradcheckReport {
  /** All compared derivatives, those with the largest error first. */
  readonly rows: readonly GradcheckRow[];
  /** The largest error. 0 if there was nothing to compare. */
  readonly worst: number;
  /** The number of derivatives that agree, and the largest error. */
  toString(): string;
}

type Values = Readonly<Record<string, HostTensor | HostData | Nested>>;

/**
 * Compares the derivatives of `fn` from `grad` with central differences, (f(x + h) − f(x − h)) / 2h. It computes on the reference
 * backend in double precision. If both disagree, it extrapolates the differences to h = 0. For a result that is not a scalar, it checks
 * the sum of the elements with random weights.
 *
 * Choose inputs at which the function is differentiable: no ties in a maximum, no 0 for relu.
 *
 * Throws GradientError with a table of the worst derivatives if an error exceeds the tolerance. Throws RangeError, TypeError or
 * ShapeError for invalid arguments.
 *
 * @example
 * const report = await gradcheck(({ x, w }) => tanh(matmul(x, w)), { x: [[0.1, 0.2]], w: [[0.3], [0.4]] });
 * report.rows.length // 4
 */
export async function gradcheck<const I extends Values>(
  fn: (inputs: { readonly [N in keyof I]: Tensor }) => Tensor,
  inputs: I,
  options: GradcheckOptions = {},
): Promise<GradcheckReport> {
  checkOptions('gradcheck', options, ['wrt', 'step', 'tolerance', 'elements', 'directions', 'seed']);
  const { step = 1e-5, tolerance = 1e-6, elements = 64, directions = 2, seed = 0 } = options;
  checkNumber('gradcheck', 'step', step, 'a number > 0', (x) => x > 0);
  checkNumber('gradcheck', 'tolerance', tolerance, 'a number > 0', (x) => x > 0);
  checkInteger('gradcheck', 'elements', elements, 0);
  checkInteger('gradcheck', 'directions', directions, 0);
  checkInteger('gradcheck', 'seed', seed, 0);
  checkFunction('gradcheck', 'fn', fn, 'a function of tensors by name');
  if (!isRecord(inputs) || isPromise(inputs)) {
    throw new TypeError(`gradcheck: inputs must be an object of arrays by name, got ${show(inputs)}`);
  }
  const point = Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => [name, inDoublePrecision(name, value)]),
  );
  const { wrt = Object.keys(point).filter((name) => point[name].dtype === 'f32') } = options;
  checkList('gradcheck', 'wrt', wrt);
  const unknown = wrt.find((name) => point[name]?.dtype !== 'f32');
  if (unknown !== undefined) {
    throw new ShapeError(
      `gradcheck: '${unknown}' is not an f32 input (inputs: ` +
        `${Object.entries(point)
          .map(([name, value]) => `${name} ${formatType(value)}`)
          .join(', ')})`,
    );
  }

  const lossOf = (tensors: Readonly<Record<string, Tensor>>): Tensor => {
    const result = fn(tensors as { readonly [N in keyof I]: Tensor });
    expectTensor('gradcheck: the function', result);
    return result.rank === 0 ? result : sum(mul(result, weights(result.shape, seed)));
  };
  const backend = reference({ precision: 'f64' });
  const backward = await compile(backend, {
    inputs: point,
    build(tensors: Readonly<Record<string, Tensor>>) {
      const gradients = grad(
        lossOf(tensors),
        wrt.map((name) => tensors[name]),
      );
      return { outputs: Object.fromEntries(wrt.map((name, i) => [name, gradients[i]])) };
    },
  });
  const forward = await compile(backend, {
    inputs: point,
    build: (tensors) => ({ outputs: { loss: lossOf(tensors) } }),
  });
  try {
    const gradients = await backward.run(point);
    const rows: GradcheckRow[] = [];
    // Runs share `point`, which changes in place between them.
    /* eslint-disable no-await-in-loop */
    for (const name of wrt) {
      const { data, shape } = point[name];
      const original = data.slice();
      const gradient = gradients[name].data as Float64Array;
      const scale = gradient.reduce((most, g) => Math.max(most, Math.abs(g)), 1);
      const valueAt = async (direction: HostData, h: number): Promise<number> => {
        data.forEach((_, i) => (data[i] = original[i] + h * direction[i]));
        return (await forward.run(point))['loss'].data[0];
      };
      for (const { place, direction } of probes(name, shape, { elements, directions, seed })) {
        const slope = async (h: number): Promise<number> =>
          ((await valueAt(direction, h)) - (await valueAt(direction, -h))) / (2 * h);
        const byGrad = gradient.reduce((total, g, i) => total + g * direction[i], 0);
        let byDifferences = await slope(step);
        // Richardson extrapolation removes the error of order h², which is large where the function has a large curvature.
        if (!(Math.abs(byGrad - byDifferences) <= tolerance * scale))
          byDifferences = (4 * (await slope(step / 2)) - byDifferences) / 3;
        rows.push({ place, byGrad, byDifferences, error: Math.abs(byGrad - byDifferences) / scale });
      }
      data.set(original);
    }
    /* eslint-enable no-await-in-loop */
    return judge(rows, tolerance);
  } finally {
    await forward.close();
    await backward.close();
  }
}

function inDoublePrecision(name: string, value: HostTensor | HostData | Nested): HostTensor {
  const held =
    typeof value === 'object' && value !== null && 'dtype' in value
      ? value
      : hostTensor(`gradcheck: ${name}`, value);
  return held.dtype === 'f32' ? { ...held, data: Float64Array.from(held.data) } : held;
}

/** Random weights of ±[0.5, 1.5]. None is near 0, so every element of the result counts. */
function weights(shape: Shape, seed: number): Tensor {
  const draws = stream(seed, 'gradcheck weights');
  const draw = (): number => (0.5 + draws.uniform()) * (draws.below(2) === 0 ? 1 : -1);
  return tensor(Float64Array.from({ length: sizeOf(shape) }, draw), { shape });
}

interface Probe {
  readonly place: string;
  readonly direction: Float64Array;
}

function* probes(
  name: string,
  shape: Shape,
  { elements, directions, seed }: Required<Pick<GradcheckOptions, 'elements' | 'directions' | 'seed'>>,
): Generator<Probe> {
  const size = sizeOf(shape);
  const all = size <= elements;
  const drawn = stream(seed, `gradcheck ${name} elements`);
  for (let k = 0; k < Math.min(size, elements); k++) {
    const at = all ? k : drawn.below(size);
    const direction = new Float64Array(size);
    direction[at] = 1;
    const index = stridesOf(shape).map((stride, axis) => Math.floor(at / stride) % shape[axis]);
    yield { place: `${name}[${index.join(',')}]`, direction };
  }
  if (all) return;
  for (let k = 0; k < directions; k++) {
    const draws = stream(seed, `gradcheck ${name} direction`, k);
    const direction = Float64Array.from({ length: size }, () => draws.normal());
    const norm = Math.sqrt(direction.reduce((total, v) => total + v * v, 0));
    yield { place: `${name} along random direction ${k}`, direction: direction.map((v) => v / norm) };
  }
}

/** Maximum number of derivatives in the text of a report. */
const SHOWN = 10;

function judge(found: readonly GradcheckRow[], tolerance: number): GradcheckReport {
  // NaN counts as the largest error.
  const badness = ({ error }: GradcheckRow): number => (Number.isNaN(error) ? Infinity : error);
  const rows = [...found].sort((a, b) => badness(b) - badness(a));
  const wrong = rows.filter(({ error }) => !(error <= tolerance)).length;
  const text = [
    `gradcheck: ${rows.length - wrong} of ${rows.length} derivatives agree within ${tolerance}` +
      (rows.length === 0 ? '' : `; the largest error is ${rows[0].error.toPrecision(3)}`),
    ...rows
      .slice(0, wrong > 0 ? Math.min(wrong, SHOWN) : 0)
      .map(
        ({ place, byGrad, byDifferences, error }) =>
          `  ${place}: ${byDifferences} by differences but ${byGrad} by grad (error ${error.toPrecision(3)})`,
      ),
  ].join('\n');
  if (wrong > 0) throw new GradientError(text);
  return { rows, worst: rows[0]?.error ?? 0, toString: () => text };
}
