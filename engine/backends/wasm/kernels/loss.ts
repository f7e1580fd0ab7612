// Losses and metrics.
import { Correct, CrossEntropy, CrossEntropyGrad } from "./calls.generated";
import { exp4, log1p4, splat, storeLanes, sumLanes } from "./simd";
import { ERROR_LABEL, fail, firstTask } from "./team";

/** The loss of each row of logits, and its softmax for the gradient. */
// @ts-ignore: decorator
@words("*logits", "*labels", "*losses", "*softmax", "rows", "classes")
export function crossEntropy(call: CrossEntropy, slice: i32, slices: i32): void {
  const classes = call.classes;
  const rows = call.rows;
  const end = firstTask(rows, slice + 1, slices);
  for (let row = firstTask(rows, slice, slices); row < end; row++) {
    const z = call.logits + ((<usize>row * <usize>classes) << 2);
    const p = call.softmax + ((<usize>row * <usize>classes) << 2);
    const label = load<i32>(call.labels + (<usize>row << 2));
    if (<u32>label >= <u32>classes) {
      fail(ERROR_LABEL, label, row);
      return;
    }
    let top = load<f32>(z);
    let best = 0;
    for (let c = 1; c < classes; c++) {
      const value = load<f32>(z + (<usize>c << 2));
      if (value > top || (value != value && top == top)) {
        top = value;
        best = c;
      }
    }
    // Adding small terms to the 1 of the largest logit would lose their digits. The sum leaves it out; log1p adds it.
    let others: f64 = 0;
    for (let c = 0; c < classes; c += 4) {
      const e = exp4(f32x4.sub(v128.load(z + (<usize>c << 2)), splat(top)));
      storeLanes(p + (<usize>c << 2), e, classes - c);
      const at = i32x4.add(i32x4.splat(c), i32x4(0, 1, 2, 3));
      const counts = v128.andnot(i32x4.lt_s(at, i32x4.splat(classes)), i32x4.eq(at, i32x4.splat(best)));
      others += <f64>sumLanes(v128.and(e, counts));
    }
    const inverse = splat(<f32>(1 / (1 + others)));
    for (let c = 0; c < classes; c += 4) {
      storeLanes(p + (<usize>c << 2), f32x4.mul(v128.load(p + (<usize>c << 2)), inverse), classes - c);
    }
    const logarithm = f32x4.extract_lane(log1p4(splat(<f32>others)), 0);
    store<f32>(call.losses + (<usize>row << 2), logarithm + (top - load<f32>(z + (<usize>label << 2))));
  }
}

/** dx = dy · (softmax − 1 at the label) */
// @ts-ignore: decorator
@words("*dy", "*softmax", "*labels", "*dx", "rows", "classes")
export function crossEntropyGrad(call: CrossEntropyGrad, slice: i32, slices: i32): void {
  const rows = call.rows;
  const classes = call.classes;
  const end = firstTask(rows, slice + 1, slices);
  for (let row = firstTask(rows, slice, slices); row < end; row++) {
    const at = (<usize>row * <usize>classes) << 2;
    const g = load<f32>(call.dy + (<usize>row << 2));
    const label = load<i32>(call.labels + (<usize>row << 2));
    let others: f64 = 0;
    for (let c = 0; c < classes; c++) {
      const p = load<f32>(call.softmax + at + (<usize>c << 2));
      store<f32>(call.dx + at + (<usize>c << 2), g * p);
      if (c != label) others += <f64>p;
    }
    const own = load<f32>(call.softmax + at + (<usize>label << 2));
    store<f32>(call.dx + at + (<usize>label << 2), g * (own > 0.5 ? 0 - <f32>others : own - 1));
  }
}

/** 1 for each row whose first largest logit is that of the label, else 0; 0 where it is a NaN. */
// @ts-ignore: decorator
@words("*logits", "*labels", "*y", "rows", "classes")
export function correct(call: Correct, slice: i32, slices: i32): void {
  const rows = call.rows;
  const classes = call.classes;
  const end = firstTask(rows, slice + 1, slices);
  for (let row = firstTask(rows, slice, slices); row < end; row++) {
    const z = call.logits + ((<usize>row * <usize>classes) << 2);
    const label = load<i32>(call.labels + (<usize>row << 2));
    if (<u32>label >= <u32>classes) {
      fail(ERROR_LABEL, label, row);
      return;
    }
    let best = load<f32>(z);
    let where = 0;
    for (let c = 1; c < classes; c++) {
      const value = load<f32>(z + (<usize>c << 2));
      if (value > best || (value != value && best == best)) {
        best = value;
        where = c;
      }
    }
    store<f32>(call.y + (<usize>row << 2), where == label && best == best ? 1 : 0);
  }
}
