import { expect, it } from 'vitest';
import { exporterOf, NOT_EXPORTED } from '../../engine/interop/onnx-ops.ts';
import { ops } from '../../engine/ops/primitives/index.ts';

it('every operation has an exporter to ONNX or a reason why it has none', () => {
  const without = Object.values(ops)
    .filter((op) => exporterOf(op as never) === undefined)
    .map(({ name }) => name);
  expect(without.toSorted()).toEqual(Object.keys(NOT_EXPORTED).toSorted());
});
