/** Summary of a model: output shape, parameters and multiply-adds of each layer. */
import { nodesOf } from '../graph.ts';
import { isRecord, show } from '../options.ts';
import { sizeOf, formatShape } from '../shape.ts';
import { input, type Tensor } from '../tensor.ts';
import type { Shape, TensorType } from '../types.ts';
import type { Described, Layer, LayerConfig } from './layer.ts';
import { bind } from './model.ts';
import { checkLayer } from './layer.ts';

export interface SummaryRow {
  /** 'block1.conv1', or '' for the model itself. */
  readonly path: string;
  /** Kind in the config of the layer. */
  readonly kind: string;
  /** Output shape in the last use of the layer. */
  readonly output: Shape;
  /** Trained values that the layer itself owns. */
  readonly trained: number;
  /** Frozen values that the layer itself owns. */
  readonly frozen: number;
  /** Multiply-adds of matrix products and convolutions in a forward pass, in all uses of the layer. */
  readonly multiplyAdds: number;
  /** Number of times the model uses the layer. The uses share parameters. */
  readonly uses: number;
}

export interface Summary {
  /** Layers that own parameters or contain no other layers, in order. */
  readonly rows: readonly SummaryRow[];
  /** Trained values of the model. */
  readonly trained: number;
  /** Frozen values of the model. */
  readonly frozen: number;
  /** Multiply-adds of a forward pass. */
  readonly multiplyAdds: number;
  /** The table as text. */
  toString(): string;
}

/**
 * Lists the layers of a model for an input of a given type. Counts are for the whole batch of the input.
 *
 * Shapes: `inputs` is a type such as `f32(1, 32, 32, 3)`, or an object of types by name for a model with several inputs.
 * Throws TypeError if `inputs` is neither a type nor an object of types.
 * Throws ShapeError if a layer rejects its input. The message begins with the path of the layer.
 *
 * @example nn.summary(nn.mlp([2, 32, 3]), f32(1, 2)).multiplyAdds // 160
 */
export function summary<X>(
  model: Layer<X>,
  inputs: X extends Tensor ? TensorType : { readonly [N in keyof X]: TensorType },
): Summary {
  checkLayer('summary', model);
  checkTypes(inputs);
  const state = Object.fromEntries(
    Object.entries(model.params).map(([name, { shape }]) => [
      name,
      input(name, { shape, dtype: 'f32' }, 'state'),
    ]),
  );
  const seen = new Map<string, { layer: Described; output: Shape; uses: number }>();
  const observe = (path: string, value: Tensor, layer: Described): Tensor => {
    seen.set(path, { layer, output: value.shape, uses: (seen.get(path)?.uses ?? 0) + 1 });
    return value;
  };
  const x = isType(inputs)
    ? input('x', inputs)
    : Object.fromEntries(
        Object.entries(inputs).map(([name, type]) => [name, input(name, type as TensorType)]),
      );
  const { output } = bind(model, state, { training: false, observe })(x as X);
  observe('', output, model);

  const products = multiplyAdds(output);
  const paths = [...seen.keys()];
  const rows = [...seen].flatMap(([path, { layer, output: shape, uses }]): SummaryRow[] => {
    const inner = paths.filter((other) => other !== path && (path === '' || other.startsWith(`${path}.`)));
    const own = Object.entries(layer.params).filter(
      ([name]) => !inner.some((other) => `${path === '' ? '' : `${path}.`}${name}`.startsWith(`${other}.`)),
    );
    const count = (frozen: boolean): number =>
      own.reduce((sum, [name, spec]) => {
        const { frozen: isFrozen = false } = model.params[path === '' ? name : `${path}.${name}`];
        return isFrozen === frozen ? sum + sizeOf(spec.shape) : sum;
      }, 0);
    const row = {
      path,
      kind: kindOf(layer.config),
      output: shape,
      trained: count(false),
      frozen: count(true),
      multiplyAdds: products.get(path) ?? 0,
      uses,
    };
    return inner.length === 0 || row.trained + row.frozen + row.multiplyAdds > 0 ? [row] : [];
  });
  const total = (of: 'trained' | 'frozen' | 'multiplyAdds'): number =>
    rows.reduce((sum, row) => sum + row[of], 0);
  const result = {
    rows,
    trained: total('trained'),
    frozen: total('frozen'),
    multiplyAdds: total('multiplyAdds'),
  };
  return { ...result, toString: () => format(result) };
}

/** A frozen layer is shown by the kind of the layer inside. */
const kindOf = (config: LayerConfig | undefined): string =>
  config?.kind === 'frozen' ? kindOf(config['layer'] as LayerConfig) : (config?.kind ?? 'custom');

/** Throws TypeError unless `inputs` is a type, or an object of types by name. */
function checkTypes(inputs: unknown): void {
  const typed = (value: unknown): boolean =>
    isRecord(value) &&
    Array.isArray(value['shape']) &&
    ['f32', 'i32', 'u8'].includes(value['dtype'] as string);
  if (typed(inputs)) return;
  if (!isRecord(inputs)) {
    const sizes = Array.isArray(inputs) && inputs.every((n) => typeof n === 'number') ? inputs : ['1', '…'];
    throw new TypeError(
      `summary: inputs must be a type, or an object of types by name, got ${show(inputs)} ` +
        `(write summary(model, f32(${sizes.join(', ')})))`,
    );
  }
  if (Object.keys(inputs).length === 0) {
    throw new TypeError(
      'summary: inputs must be a type, or an object of types by name, got none (write summary(model, f32(1, 8)))',
    );
  }
  for (const [name, value] of Object.entries(inputs)) {
    if (typed(value)) continue;
    throw new TypeError(
      `summary: input '${name}' must be a type, for instance f32(1, 32, 32, 3), got ${show(value)}`,
    );
  }
}

const isType = (inputs: object): inputs is TensorType => 'dtype' in inputs;

/** Multiply-adds by the path of the layer. */
function multiplyAdds(output: Tensor): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const node of nodesOf([output])) {
    if (node.op.multiplyAdds !== true) continue;
    const flops = node.op.flops?.(node.inputs, node.results, node.attrs) ?? 0;
    counts.set(node.path, (counts.get(node.path) ?? 0) + flops / 2);
  }
  return counts;
}

function format({ rows, trained, frozen, multiplyAdds: products }: Omit<Summary, 'toString'>): string {
  const number = (n: number): string => n.toLocaleString('en-US');
  const cells = [
    ['layer', 'kind', 'output', 'parameters', 'multiply-adds'],
    ...rows.map((row) => [
      (row.path === '' ? 'model' : row.path) + (row.uses === 1 ? '' : ` (${row.uses} times)`),
      row.kind,
      formatShape(row.output),
      number(row.trained) + (row.frozen === 0 ? '' : ` + ${number(row.frozen)} frozen`),
      number(row.multiplyAdds),
    ]),
    [
      'total',
      '',
      '',
      number(trained) + (frozen === 0 ? '' : ` + ${number(frozen)} frozen`),
      number(products),
    ],
  ];
  const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column < 3 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
      .join('  ')
      .trimEnd();
  return cells.map(line).join('\n');
}
