/** The options of a run that a page watches, and what the page can show of them. */
import type { AnyDataset, Dataset, Named, Types } from '../../datasets/index.ts';
import type { State, Tensor, TensorType, TrainOptions } from '../../engine/index.ts';
import type { Layer } from '../../engine/nn/index.ts';
import { averagedState } from '../../optim/index.ts';
import type { FiltersView, PredictionsView } from './protocol.ts';
import { filtersOf } from './views/filters.ts';
import { shapeOf } from './views/pictures.ts';
import { predictionsOf, type Examined } from './views/predictions.ts';

export type AnyTrainOptions = TrainOptions<Types, Types, Named<Tensor>>;

export class Watched {
  readonly options: AnyTrainOptions;
  readonly #examined: Examined | null;

  constructor(options: AnyTrainOptions, names: readonly string[]) {
    this.options = options;
    const { model, backend, eval: evaluation } = options;
    const data = evaluation?.data;
    this.#examined =
      data !== undefined && isClassified(data)
        ? {
            model: model as unknown as Layer,
            backend,
            data: data as unknown as Dataset,
            batchSize: evaluation?.batchSize,
            names,
          }
        : null;
  }

  /** Throws what `predict` throws. */
  async predictions(state: State, step: number): Promise<PredictionsView | null> {
    if (this.#examined === null) return null;
    const isAveraged = this.options.eval?.averaged === true && step > 0;
    return predictionsOf(this.#examined, isAveraged ? averagedState(state) : state, step);
  }

  filters(state: State, step: number): FiltersView | null {
    const { x } = this.options.data.dataset;
    const image = isType(x) ? shapeOf(x) : null;
    return filtersOf(this.options.model, state, step, image);
  }
}

const isType = (x: Types): x is TensorType => Array.isArray((x as Partial<TensorType>).shape);

/** Whether the data has one input and one class for each example. */
const isClassified = ({ x, y, length }: AnyDataset): boolean =>
  isType(x) && isType(y) && y.dtype === 'i32' && y.shape.length === 0 && length > 0;
