/** The order of flattened images: PyTorch flattens [C, H, W] and we flatten [H, W, C]. */
import { ShapeError } from '../errors.ts';
import { nodesOf } from '../graph.ts';
import * as nn from '../nn/index.ts';
import { formatType, sizeOf } from '../shape.ts';
import { input, type Node, type Tensor } from '../tensor.ts';
import type { Shape } from '../types.ts';

/**
 * The number of channels of flattened images, by the weight of the dense layer that takes them.
 *
 * Operations on elements keep the order, so they may come between. Throws ShapeError for any other use of flattened images: the
 * parameters of a layer that does not follow would need another order.
 */
export function channelsOfFlattened(where: string, model: nn.Layer, example: Shape): Map<string, number> {
  const hasRows = includesKind(model, 'conv1d');
  const flattened = new Map<Tensor, number>();
  const found = new Map<string, number>();
  for (const node of nodesOf([outputOf(model, example)])) {
    const operand = operandsOf(node).find((x) => flattened.has(x));
    const channels = operand === undefined ? mergedChannels(node, hasRows) : flattened.get(operand)!;
    if (channels === null) continue;
    const weight = weightOf(node);
    if (operand === undefined || isOnElements(node, flattened, channels)) {
      for (const result of node.results) flattened.set(result, channels);
    } else if (weight !== null && operand === node.inputs[0]) {
      found.set(weight, channels);
    } else if (!isUndone(node, channels)) {
      const place = node.path === '' ? '' : ` in '${node.path}'`;
      throw new ShapeError(
        `${where}: flattened images ${formatType(operand)} go into ${node.op.name}${place}, and their order differs in PyTorch ` +
          '(put a dense layer right after flatten)',
      );
    }
  }
  return found;
}

/** Whether the order of flattened images can matter: the model flattens, or has both images and dense layers. */
export function mayFlatten(model: nn.Layer): boolean {
  const ranks = Object.values(model.params).flatMap(({ shape, torch }) =>
    torch?.axes ? [shape.length] : [],
  );
  return includesKind(model, 'flatten') || (ranks.includes(2) && ranks.some((rank) => rank > 2));
}

const includesKind = (model: nn.Layer, kind: string): boolean =>
  JSON.stringify(model.config ?? {}).includes(`"kind":"${kind}"`);

function outputOf(model: nn.Layer, example: Shape): Tensor {
  const state = Object.entries(model.params).map(([name, { shape }]) => [
    name,
    input(name, { shape, dtype: 'f32' }, 'state'),
  ]);
  const x = input('x', { shape: [2, ...example], dtype: 'f32' });
  return nn.bind(model, Object.fromEntries(state) as Record<string, Tensor>, { training: false })(x).output;
}

/**
 * The channels of images [N, H, W, C], or rows [N, T, C] of 1-D convolutions, that a node flattens to [N, H · W · C]. Null if it does
 * not, or the order is the same in PyTorch, as for tokens.
 */
function mergedChannels({ op, inputs, results }: Node, hasRows: boolean): number | null {
  if (op.name !== 'reshape') return null;
  const [from] = inputs;
  const [to] = results;
  if (from.rank !== 4 && !(from.rank === 3 && hasRows)) return null;
  if (to.rank !== 2 || to.shape[0] !== from.shape[0] || isChannelsFirst(from)) return null;
  const channels = from.shape[from.rank - 1];
  return channels > 1 && sizeOf(from.shape.slice(1, -1)) > 1 ? channels : null;
}

/** Whether images were transposed to [N, C, H, W] before, as in imported ONNX files. */
function isChannelsFirst({ source }: Tensor): boolean {
  if (source.kind !== 'node' || source.node.op.name !== 'transpose') return false;
  return String((source.node.attrs as { readonly perm: readonly number[] }).perm) === '0,3,1,2';
}

/** Whether the node copies its first input. The others of a composition with its own derivative are for the derivative alone. */
const isCopy = ({ op }: Node): boolean => op.alias === true && op.name !== 'reshape';

const operandsOf = (node: Node): readonly Tensor[] => (isCopy(node) ? node.inputs.slice(0, 1) : node.inputs);

/** Whether the node applies an operation to each element, with operands that are the same for all features, or in the same order. */
function isOnElements(node: Node, flattened: ReadonlyMap<Tensor, number>, channels: number): boolean {
  if (node.op.elementwise === undefined && !isCopy(node)) return false;
  return operandsOf(node).every((x) => x.rank === 0 || x.shape.at(-1) === 1 || flattened.get(x) === channels);
}

/** Whether the node turns flattened images into images again. */
const isUndone = ({ op, results: [to] }: Node, channels: number): boolean =>
  op.name === 'reshape' && to.rank === 4 && to.shape[3] === channels;

/** The name of the weight of a dense layer. */
function weightOf({ op, inputs }: Node): string | null {
  const source = inputs[1]?.source;
  return op.name === 'matmul' && source?.kind === 'input' && source.role === 'state' ? source.name : null;
}
