/** Vectors by index: words, categories, places. */
import { ShapeError } from '../errors.ts';
import { checkInteger, checkOptions } from '../options.ts';
import { cast, gather } from '../ops/index.ts';
import { formatType } from '../shape.ts';
import { normal } from './initializers.ts';
import type { Layer } from './layer.ts';
import { trained, type ParamOptions } from './linear.ts';

/**
 * A table of vectors, of which each index takes one.
 *
 * Shapes: x i32 or u8 [...] -> [..., width]; weight [count, width], by default normally distributed with deviation 1.
 * An index outside 0 … count − 1 stops the run before any state is written.
 *
 * @example nn.embedding(1000, 64)
 */
export function embedding(count: number, width: number, options: ParamOptions = {}): Layer {
  checkInteger('embedding', 'count', count, 1);
  checkInteger('embedding', 'width', width, 1);
  checkOptions('embedding', options, ['init', 'lrMult', 'decayMult']);
  return {
    params: { weight: trained('embedding', [count, width], normal(1), options) },
    config: { kind: 'embedding' },
    apply(x, scope) {
      if (x.dtype === 'f32') {
        throw new ShapeError(`embedding: expects indices, i32 or u8, but got ${formatType(x)}`);
      }
      return gather(scope.param('weight'), cast(x, 'i32'));
    },
  };
}
