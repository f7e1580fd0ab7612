/** Parameters in PyTorch: their names and shapes. */
import { sameShape } from '../shape.ts';
import type { Shape } from '../types.ts';
import type { ParamSpec } from './layer.ts';

type Specs = Readonly<Record<string, ParamSpec>>;

/** The name of a parameter in PyTorch, where layers _0, _1, … are called 0, 1, …. */
export function torchName(path: string, { torch }: ParamSpec): string {
  const parts = path.split('.').map((part) => part.replace(/^_(?=\d+$)/, ''));
  if (torch?.name !== undefined) parts.splice(-(torch.replaces ?? 1), parts.length, torch.name);
  return parts.join('.');
}

/** The shape of a parameter in PyTorch. */
export const torchShape = ({ shape, torch }: ParamSpec): Shape =>
  torch?.shape ?? (torch?.axes ?? shape.map((_, axis) => axis)).map((axis) => shape[axis]);

const ADVICE = ": PyTorch's layout; use fromTorch of cyclegrad/interop";

/** Ends the message about an array that must have another shape, if it has that of PyTorch. */
export const torchShapeAdvice = (spec: ParamSpec | undefined, shape: Shape): string =>
  spec !== undefined && !sameShape(spec.shape, shape) && sameShape(torchShape(spec), shape) ? ADVICE : '';

/** Ends the message about a name that the model does not have, if it is the name of one of its parameters in PyTorch. */
export const torchNameAdvice = (params: Specs, names: readonly string[]): string => {
  const theirs = new Set(Object.entries(params).map(([path, spec]) => torchName(path, spec)));
  const found = names.find((name) => !Object.hasOwn(params, name) && theirs.has(name));
  return found === undefined ? '' : `: '${found}' is PyTorch's name; use fromTorch of cyclegrad/interop`;
};
