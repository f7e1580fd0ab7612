/** Embeddings: a vector for each index. */
import { ShapeError } from '../errors.ts';
import { checkInteger, checkOptions } from '../options.ts';
import { cast, gather } from '../ops/index.ts';
import { formatType } from '../shape.ts';
import { normal } from './initializers.ts';
import { checkScope, type Layer } from './layer.ts';
import { trained, type ParamOptions } from './linear.ts';

/**
 * Embedding table: looks up a row of the weight for each index.
 *
 * Shapes: x `i32` or `u8` [...] -> `f32` [..., width]; weight [count, width], drawn from the standard normal distribution
 * by default. A run with an index outside 0 … count − 1 throws DataError and writes no state.
 * Throws RangeError if the count or the width is not a positive integer.
 * Throws TypeError for an unknown option, or an `init` that is not a function.
 * Throws ShapeError, when the layer is applied, if x is `f32`.
 *
 * @example nn.countParameters(nn.embedding(1000, 64)) // 64000
 */
export function embedding(count: number, width: number, options: ParamOptions = {}): Layer {
  checkInteger('embedding', 'count', count, 1);
  checkInteger('embedding', 'width', width, 1);
  checkOptions('embedding', options, ['init', 'lrMult', 'decayMult']);
  return {
    params: { weight: trained('embedding', [count, width], normal(1), options) },
    config: { kind: 'embedding' },
    apply(x, scope) {
      checkScope('embedding', scope);
      if (x.dtype === 'f32') {
        throw new ShapeError(`embedding: expects indices, i32 or u8, but got ${formatType(x)}`);
      }
      return gather(scope.param('weight'), cast(x, 'i32'));
    },
  };
}
