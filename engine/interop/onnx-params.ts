/** Which constants of an ONNX graph are parameters, their names, and their layouts. */
import type { TorchLayout } from '../nn/layer.ts';
import type { Graph, GraphNode, HostArray } from './onnx-read.ts';
import { filters, identity, samePerm } from './onnx-value.ts';

/** What becomes of a parameter: the optimizer changes it, nothing does, or training updates it as a statistic. */
export type Kind = 'trained' | 'frozen' | 'statistic';

export interface Param {
  /** The name in the model and its state. */
  readonly name: string;
  readonly kind: Kind;
  readonly value: HostArray;
  /** Axis i of the parameter is axis `perm[i]` of the initializer. */
  readonly perm: readonly number[];
  readonly torch: TorchLayout;
}

/** The entry of the metadata in which `toOnnx` writes the kinds of parameters. */
export const METADATA = 'cyclegrad.params';

/** The prefix of the names of parameters in files of `toOnnx`. */
export const STATE = 'state.';

interface Use {
  readonly node: GraphNode;
  readonly input: number;
}

/** Inputs that are settings and no parameters, by operator. */
const SETTINGS: Readonly<Record<string, readonly number[]>> = {
  Clip: [1, 2],
  Dropout: [1, 2],
  Pad: [2],
  Pow: [1],
  Resize: [1, 2, 3],
  Upsample: [1],
  Equal: [0, 1],
  Less: [0, 1],
  LessOrEqual: [0, 1],
  Greater: [0, 1],
  GreaterOrEqual: [0, 1],
  Where: [0],
  Range: [0, 1, 2],
};

const STATISTICS = [3, 4];

/**
 * The parameters of a graph, by the name of the initializer: floats that have axes and are not only settings. Means and variances of
 * BatchNormalization are statistics.
 *
 * Filters and weights of Gemm get our layout if no node needs another one.
 */
export function findParams(graph: Graph): ReadonlyMap<string, Param> {
  const uses = usesOf(graph);
  const kinds = kindsOf(graph);
  const params = new Map<string, Param>();
  const names = new Set<string>();
  for (const [initializer, value] of graph.constants) {
    const found = uses.get(initializer) ?? [];
    const kind = kinds === null ? kindOf(value, found) : kinds.get(initializer);
    if (kind === undefined || found.length === 0) continue;
    const name = uniqueName(
      kinds === null ? nameOf(initializer, found[0]) : initializer.slice(STATE.length),
      names,
    );
    const perm = layoutOf(value, found);
    const inverse = perm.map((_, axis) => perm.indexOf(axis));
    const last = initializer.slice(initializer.lastIndexOf('.') + 1);
    const torch = {
      ...(/^running_(mean|var)$|^weight$|^bias$/.test(last) ? { name: last } : {}),
      ...(samePerm(perm, identity(perm.length)) ? {} : { axes: inverse }),
    };
    params.set(initializer, { name, kind, value, perm, torch });
  }
  return params;
}

/**
 * The graph without Identity nodes of initializers, which PyTorch writes where initializers have equal values. Vectors become separate
 * parameters: those of new layers are equal by chance. Arrays of more axes are equal only if they are shared.
 */
export function withoutCopies(graph: Graph): Graph {
  const constants = new Map(graph.constants);
  const shared = new Map<string, string>();
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const nodes = graph.nodes.flatMap((node) => {
    const inputs = node.inputs.map((name) => shared.get(name) ?? name);
    const [output] = node.outputs;
    const value = node.opType === 'Identity' ? constants.get(inputs[0]) : undefined;
    if (value === undefined || outputs.has(output)) return [{ ...node, inputs }];
    if (value.shape.length > 1) shared.set(output, inputs[0]);
    else constants.set(output, value);
    return [];
  });
  return { ...graph, constants, nodes };
}

function usesOf({ nodes }: Graph): ReadonlyMap<string, readonly Use[]> {
  const uses = new Map<string, Use[]>();
  for (const node of nodes) {
    for (const [input, name] of node.inputs.entries()) {
      if (name !== '') uses.set(name, [...(uses.get(name) ?? []), { node, input }]);
    }
  }
  return uses;
}

/** The kinds that `toOnnx` has written, by initializer. Null for other files. */
function kindsOf({ metadata }: Graph): ReadonlyMap<string, Kind> | null {
  const written = metadata.get(METADATA);
  if (written === undefined) return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(written);
  } catch {
    return null;
  }
  const entries = Object.entries((parsed ?? {}) as Readonly<Record<string, unknown>>);
  const isKind = (kind: unknown): kind is Kind =>
    kind === 'trained' || kind === 'frozen' || kind === 'statistic';
  return new Map(
    entries.flatMap(([name, kind]) => (isKind(kind) ? [[`${STATE}${name}`, kind] as const] : [])),
  );
}

function kindOf(value: HostArray, uses: readonly Use[]): Kind | undefined {
  if (value.dtype !== 'f32' || value.shape.length === 0) return undefined;
  if (uses.every(({ node, input }) => SETTINGS[node.opType]?.includes(input))) return undefined;
  const isStatistic = uses.every(
    ({ node, input }) => node.opType === 'BatchNormalization' && STATISTICS.includes(input),
  );
  return isStatistic ? 'statistic' : 'trained';
}

function layoutOf({ shape }: HostArray, uses: readonly Use[]): readonly number[] {
  const wanted = uses.map(({ node, input }) => {
    const isWeight = input === 1;
    if (isWeight && /^Conv(Transpose)?$/.test(node.opType)) return filters(shape.length);
    if (isWeight && node.opType === 'Gemm' && node.attributes.get('transB') === 1) return [1, 0];
    return identity(shape.length);
  });
  return wanted.every((perm) => samePerm(perm, wanted[0])) ? wanted[0] : identity(shape.length);
}

/** Parts of names that are integers get a _, as in our models, because JavaScript would move such keys to the front. */
const asPath = (name: string): string =>
  name
    .split('.')
    .map((part) => part.replace(/[^A-Za-z0-9_-]/g, '_').replace(/^(?=\d|-|$)/, '_'))
    .join('.');

/** The name of an initializer, or that of its module for a name that PyTorch made up, such as onnx::Conv_12. */
function nameOf(initializer: string, { node, input }: Use): string {
  if (!initializer.includes('::')) return asPath(initializer);
  const parts = node.name.split('/').slice(1, -1);
  // /layer1/layer1.0/conv1/Conv is layer1.0.conv1
  const module = parts.reduce(
    (path, part) => (part.startsWith(`${path}.`) ? part : path === '' ? part : `${path}.${part}`),
    '',
  );
  if (module === '') return asPath(initializer);
  const isBias = input === 2 || node.opType === 'Add';
  return asPath(`${module}.${isBias ? 'bias' : 'weight'}`);
}

function uniqueName(name: string, names: Set<string>): string {
  let unique = name;
  for (let i = 2; names.has(unique); i++) unique = `${name}_${i}`;
  names.add(unique);
  return unique;
}
