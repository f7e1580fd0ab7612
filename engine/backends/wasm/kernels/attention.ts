// Attention of heads. A panel has the scores of some keys, one in each row, and of NR queries, one in each lane: so the softmax needs no
// sum across lanes, and a panel of weights is the packed right operand of the products with the values. q, k and v are read where they lie.
import { AttentionForward, AttentionBackward, AttentionSizes, Head } from "./calls.generated";
import { packPanel, packRows } from "./gemm";
import { splat } from "./simd";
import { firstTask, ownScratch } from "./team";
import { gemmTile } from "./vectors/products";
import {
  correctSums, exponentials, meansOf, panelMaxima, scaleHalf, scaleVectors, scoreGradients, weightsOf,
} from "./vectors/attention";
import { MR, NR, V } from "./width";

/** Bytes of a row of a panel. */
const ROW: usize = 2 * V;

// @ts-ignore: decorator
@inline function roundUp(n: i32, to: i32): i32 {
  return (n + to - 1) / to * to;
}

/** Address of the rows of a head of an example from `row` on. */
// @ts-ignore: decorator
@inline function rowsOf(all: Head, example: i32, head: i32, row: i32): usize {
  return all.from + ((<usize>(example * all.rows + row) * <usize>all.rowStride + <usize>(head * all.width)) << 2);
}

/** Packs rows of a head as the left operand: panels of MR rows. The last one repeats its last row. */
function packLeft(to: usize, from: usize, stride: usize, rows: i32, width: i32): void {
  for (let i = 0; i < rows; i += MR, from += MR * stride, to += <usize>(MR * width) << 2) {
    packRows(from, to, width, stride, min(MR, rows - i));
  }
}

/** Packs rows of a head, transposed, as the left operand: panels of MR channels. The last one reads past its channels. */
function packLeftTransposed(to: usize, from: usize, stride: usize, rows: i32, width: i32): void {
  for (let d = 0; d < width; d += MR, from += MR * 4) {
    let p = from;
    for (let i = 0; i < rows; i++, p += stride, to += MR * 4) {
      v128.store(to, v128.load(p));
      v128.store64_lane(to, v128.load64_zero(p, 16), 0, 16);
    }
  }
}

/** Packs rows of a head as the right operand: panels of NR channels. */
function packRight(to: usize, from: usize, stride: usize, rows: i32, width: i32): void {
  for (let d = 0; d < width; d += NR, from += NR * 4, to += <usize>rows * ROW) {
    packPanel(from, to, rows, min(NR, width - d), stride, 4);
  }
}

/** Packs rows of a head, transposed, as the right operand: panels of NR rows, the last one filled with zeros. */
function packRightTransposed(to: usize, from: usize, stride: usize, rows: i32, width: i32): void {
  for (let i = 0; i < rows; i += NR, from += NR * stride, to += <usize>width * ROW) {
    packPanel(from, to, width, min(NR, rows - i), 4, stride);
  }
}

/** Rows of a packed left operand times a panel of a packed right one. The rows of the result are `stride` bytes apart. */
// @ts-ignore: decorator
@inline function multiply(
  left: usize, right: usize, to: usize, stride: usize, rows: i32, depth: i32, first: bool,
): void {
  for (let i = 0; i < rows; i += MR, left += <usize>(MR * depth) << 2, to += MR * stride) {
    gemmTile(left, right, to, stride, depth, first);
  }
}

/** Stores the first columns of a panel as rows, times the factors of the columns. */
function storeTransposed(panel: usize, factors: usize, to: usize, stride: usize, columns: i32, width: i32): void {
  for (let j = 0; j < columns; j += 4, panel += 16, factors += 16, to += 4 * stride) {
    const f = v128.load(factors);
    const valid = min(4, columns - j);
    let d = 0;
    let from = panel;
    for (; d + 4 <= width && valid == 4; d += 4, from += 4 * ROW) {
      const a = f32x4.mul(v128.load(from), f);
      const b = f32x4.mul(v128.load(from, ROW), f);
      const c = f32x4.mul(v128.load(from, 2 * ROW), f);
      const e = f32x4.mul(v128.load(from, 3 * ROW), f);
      const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
      const ce = v128.shuffle<i32>(c, e, 0, 4, 1, 5);
      const AB = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
      const CE = v128.shuffle<i32>(c, e, 2, 6, 3, 7);
      const at = to + (<usize>d << 2);
      v128.store(at, v128.shuffle<i64>(ab, ce, 0, 2));
      v128.store(at + stride, v128.shuffle<i64>(ab, ce, 1, 3));
      v128.store(at + 2 * stride, v128.shuffle<i64>(AB, CE, 0, 2));
      v128.store(at + 3 * stride, v128.shuffle<i64>(AB, CE, 1, 3));
    }
    for (; d < width; d++, from += ROW) {
      const y = f32x4.mul(v128.load(from), f);
      const at = to + (<usize>d << 2);
      v128.store_lane<f32>(at, y, 0);
      if (valid > 1) v128.store_lane<f32>(at + stride, y, 1);
      if (valid > 2) v128.store_lane<f32>(at + 2 * stride, y, 2);
      if (valid > 3) v128.store_lane<f32>(at + 3 * stride, y, 3);
    }
  }
}

/** A value in the lanes of `rows` rows of a panel whose query comes before the key: lane j of row i where j < i + offset. */
function hide(panel: usize, rows: i32, offset: i32, value: f32): void {
  for (let i = max(0, 1 - offset); i < rows; i++) {
    const row = panel + <usize>i * ROW;
    const hidden = min(NR, i + offset);
    for (let j = 0; j < hidden; j++) store<f32>(row + (<usize>j << 2), value);
  }
}

// @ts-ignore: decorator
@inline function fill(at: usize, bytes: usize, value: f32): void {
  for (const end = at + bytes; at != end; at += 16) v128.store(at, splat(value));
}

/** How many of the `count` keys from `key` on the queries before `end` see. */
// @ts-ignore: decorator
@inline function seen(call: AttentionSizes, key: i32, count: i32, end: i32): i32 {
  return call.causal ? max(0, min(count, end - key)) : count;
}

/**
 * y = softmax(scale · q kᵀ) v by head, and the largest score and the inverse sum of each query. A task is a block of queries, which goes
 * through the keys block by block.
 */
// The scratch holds the packed queries, keys and values, a panel of scores, the results of all panels, and their statistics.
// @ts-ignore: decorator
@words(
  "...AttentionSizes", "q: Head", "k: Head", "v: Head", "y: Head", "*largest", "*inverse", "queriesBytes",
  "keysBytes", "valuesBytes", "scoresBytes", "resultsBytes", "scratch: Scratch"
)
export function attentionForward(call: AttentionForward, slice: i32, slices: i32): void {
  const queries = call.q.rows;
  const keys = call.k.rows;
  const width = call.q.width;
  const valueWidth = call.v.width;
  const qStride = <usize>call.q.rowStride << 2;
  const kStride = <usize>call.k.rowStride << 2;
  const vStride = <usize>call.v.rowStride << 2;
  const yStride = <usize>call.y.rowStride << 2;
  const heads = call.heads;
  const scale = changetype<usize>(call) + offsetof<AttentionForward>("scale");
  const packedQ = ownScratch(call.scratch);
  const packedK = packedQ + <usize>call.queriesBytes;
  const packedV = packedK + <usize>call.keysBytes;
  const scores = packedV + <usize>call.valuesBytes;
  const results = scores + <usize>call.scoresBytes;
  // For each panel: the largest scores, the sums, and the largest before.
  const statistics = results + <usize>call.resultsBytes;
  const resultBytes = <usize>roundUp(valueWidth, MR) * ROW;
  const blocks = (queries + call.blockQueries - 1) / call.blockQueries;
  const tasks = call.batch * heads * blocks;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const item = task / blocks;
    const example = item / heads;
    const head = item % heads;
    const firstQuery = task % blocks * call.blockQueries;
    const count = min(call.blockQueries, queries - firstQuery);
    const panels = (count + NR - 1) / NR;
    packRightTransposed(packedQ, rowsOf(call.q, example, head, firstQuery), qStride, count, width);
    scaleVectors(packedQ, <usize>(panels * width) * ROW, scale);
    for (let panel = 0; panel < panels; panel++) {
      const own = statistics + <usize>panel * 3 * ROW;
      fill(own, ROW, -f32.MAX_VALUE * 2);
      fill(own + ROW, ROW, 0);
    }
    const lastKey = seen(call, 0, keys, firstQuery + count);
    for (let key = 0; key < lastKey; key += call.blockKeys) {
      const blockKeys = min(call.blockKeys, lastKey - key);
      packLeft(packedK, rowsOf(call.k, example, head, key), kStride, blockKeys, width);
      packLeftTransposed(packedV, rowsOf(call.v, example, head, key), vStride, blockKeys, valueWidth);
      for (let panel = 0; panel < panels; panel++) {
        const query = firstQuery + panel * NR;
        const own = statistics + <usize>panel * 3 * ROW;
        const to = results + <usize>panel * resultBytes;
        const rows = seen(call, key, blockKeys, min(query + NR, queries));
        if (rows == 0) continue;
        multiply(packedK, packedQ + <usize>(panel * width) * ROW, scores, ROW, rows, width, true);
        if (call.causal) hide(scores, rows, key - query, -f32.MAX_VALUE * 2);
        if (key > 0) memory.copy(own + 2 * ROW, own, ROW);
        panelMaxima(scores, rows, own);
        for (let half: usize = 0; half < ROW; half += V) {
          if (key > 0) {
            correctSums(own + 2 * ROW + half, own + half, own + ROW + half);
            scaleHalf(to + half, valueWidth, own + 2 * ROW + half);
          }
          exponentials(scores + half, rows, own + half, own + ROW + half);
        }
        if (call.causal) hide(scores, rows, key - query, 0);
        for (let e = 0, left = packedV; e < valueWidth; e += MR, left += <usize>(MR * blockKeys) << 2) {
          gemmTile(left, scores, to + <usize>e * ROW, ROW, rows, key == 0);
        }
      }
    }
    for (let panel = 0; panel < panels; panel++) {
      const own = statistics + <usize>panel * 3 * ROW;
      const query = firstQuery + panel * NR;
      const columns = min(NR, queries - query);
      const sums = own + ROW;
      for (let j: usize = 0; j < ROW; j += 16) v128.store(sums + j, f32x4.div(splat(1), v128.load(sums + j)));
      const to = rowsOf(call.y, example, head, query);
      storeTransposed(results + <usize>panel * resultBytes, sums, to, yStride, columns, valueWidth);
      const at = <usize>(item * queries + query) << 2;
      memory.copy(call.largest + at, own, <usize>columns << 2);
      memory.copy(call.inverse + at, sums, <usize>columns << 2);
    }
  }
}

/** The sum of products of two rows of `n` floats. */
function dot(a: usize, b: usize, n: i32): f32 {
  let sum = splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4, a += 16, b += 16) sum = f32x4.add(sum, f32x4.mul(v128.load(a), v128.load(b)));
  let rest: f32 = 0;
  for (; i < n; i++, a += 4, b += 4) rest += load<f32>(a) * load<f32>(b);
  return (f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 2)) +
    (f32x4.extract_lane(sum, 1) + f32x4.extract_lane(sum, 3)) + rest;
}

/** The gradients of q, k and v. A task is a head of an example, which goes through blocks of keys, and for each through blocks of queries. */
// The scratch holds, as `...Bytes` say: packed operands of a block of keys (k twice, v), of a block of queries (q twice, g twice), panels
// of weights and of their gradients, both packed as left operands, sums for dk, dv and dq, and statistics of a block of queries.
// @ts-ignore: decorator
@words(
  "...AttentionSizes", "q: Head", "k: Head", "v: Head", "y: Head", "g: Head", "dq: Head", "dk: Head", "dv: Head",
  "*largest", "*inverse", "keysBytes", "valuesBytes", "queriesBytes", "gradsBytes", "scoresBytes",
  "weightsBytes", "dkBytes", "dvBytes", "dqBytes", "scratch: Scratch"
)
export function attentionBackward(call: AttentionBackward, slice: i32, slices: i32): void {
  const queries = call.q.rows;
  const keys = call.k.rows;
  const width = call.q.width;
  const valueWidth = call.v.width;
  const qStride = <usize>call.q.rowStride << 2;
  const kStride = <usize>call.k.rowStride << 2;
  const vStride = <usize>call.v.rowStride << 2;
  const gStride = <usize>call.g.rowStride << 2;
  const yStride = <usize>call.y.rowStride << 2;
  const heads = call.heads;
  const scale = changetype<usize>(call) + offsetof<AttentionBackward>("scale");
  const left = ownScratch(call.scratch); // k
  const leftTransposed = left + <usize>call.keysBytes; // kᵀ
  const leftV = leftTransposed + <usize>call.keysBytes; // v
  const rightQ = leftV + <usize>call.valuesBytes;
  const rightTransposed = rightQ + <usize>call.queriesBytes; // qᵀ
  const rightG = rightTransposed + <usize>call.queriesBytes;
  const rightTransposedG = rightG + <usize>call.gradsBytes; // gᵀ
  const weights = rightTransposedG + <usize>call.gradsBytes;
  const grads = weights + <usize>call.scoresBytes;
  const leftWeights = grads + <usize>call.scoresBytes;
  const leftGrads = leftWeights + <usize>call.weightsBytes;
  const dk = leftGrads + <usize>call.weightsBytes;
  const dv = dk + <usize>call.dkBytes;
  const dq = dv + <usize>call.dvBytes;
  // For each query of a block: its largest score, its inverse sum, and the mean of the gradient of its weights.
  const largest = dq + <usize>call.dqBytes;
  const dkStride = <usize>roundUp(width, NR) << 2;
  const dvStride = <usize>roundUp(valueWidth, NR) << 2;
  const dqBytes = <usize>roundUp(width, MR) * ROW;
  const tasks = call.batch * heads;
  const end = firstTask(tasks, slice + 1, slices);
  for (let item = firstTask(tasks, slice, slices); item < end; item++) {
    const example = item / heads;
    const head = item % heads;
    for (let key = 0; key < keys; key += call.blockKeys) {
      const blockKeys = min(call.blockKeys, keys - key);
      const fromK = rowsOf(call.k, example, head, key);
      packLeft(left, fromK, kStride, blockKeys, width);
      packLeftTransposed(leftTransposed, fromK, kStride, blockKeys, width);
      packLeft(leftV, rowsOf(call.v, example, head, key), vStride, blockKeys, valueWidth);
      let first = true;
      for (let query = 0; query < queries; query += call.blockQueries) {
        const count = min(call.blockQueries, queries - query);
        if (seen(call, key, blockKeys, query + count) == 0) continue;
        const panels = (count + NR - 1) / NR;
        const padded = panels * NR;
        const inverse = largest + (<usize>padded << 2);
        const means = inverse + (<usize>padded << 2);
        const fromQ = rowsOf(call.q, example, head, query);
        const fromG = rowsOf(call.g, example, head, query);
        packRight(rightQ, fromQ, qStride, count, width);
        scaleVectors(rightQ, <usize>((width + NR - 1) / NR * count) * ROW, scale);
        packRightTransposed(rightTransposed, fromQ, qStride, count, width);
        scaleVectors(rightTransposed, <usize>(panels * width) * ROW, scale);
        packRight(rightG, fromG, gStride, count, valueWidth);
        packRightTransposed(rightTransposedG, fromG, gStride, count, valueWidth);
        fill(largest, <usize>padded * 12, 0);
        const at = <usize>(item * queries + query) << 2;
        memory.copy(largest, call.largest + at, <usize>count << 2);
        memory.copy(inverse, call.inverse + at, <usize>count << 2);
        // Of one block, the means are sums over its keys: so that the gradient of the only weight of a query is exactly 0.
        const oneBlock = keys <= call.blockKeys;
        const fromY = rowsOf(call.y, example, head, query);
        for (let i = 0; i < count && !oneBlock; i++) {
          const mean = dot(fromG + <usize>i * gStride, fromY + <usize>i * yStride, valueWidth);
          store<f32>(means + (<usize>i << 2), mean);
        }
        for (let panel = 0; panel < panels; panel++) {
          const own = query + panel * NR;
          const lanes = <usize>(panel * NR) << 2;
          const rows = seen(call, key, blockKeys, min(own + NR, queries));
          multiply(left, rightTransposed + <usize>(panel * width) * ROW, weights, ROW, rows, width, true);
          multiply(leftV, rightTransposedG + <usize>(panel * valueWidth) * ROW, grads, ROW, rows, valueWidth, true);
          for (let half: usize = 0; half < ROW; half += V) {
            weightsOf(weights + half, rows, largest + lanes + half, inverse + lanes + half);
          }
          if (call.causal) hide(weights, rows, key - own, 0);
          for (let half: usize = 0; half < ROW; half += V) {
            if (oneBlock) meansOf(grads + half, weights + half, rows, means + lanes + half);
            scoreGradients(grads + half, weights + half, rows, means + lanes + half);
          }
          if (rows > 0) {
            const to = dq + <usize>((query / NR) + panel) * dqBytes;
            let from = leftTransposed;
            for (let d = 0; d < width; d += MR, from += <usize>(MR * blockKeys) << 2) {
              gemmTile(from, grads, to + <usize>d * ROW, ROW, rows, key == 0);
            }
          }
          if (rows < blockKeys) {
            fill(weights + <usize>rows * ROW, <usize>(blockKeys - rows) * ROW, 0);
            fill(grads + <usize>rows * ROW, <usize>(blockKeys - rows) * ROW, 0);
          }
          for (let i = 0; i < blockKeys; i += MR) {
            const to = <usize>(i * padded + panel * NR * MR) << 2;
            packRows(weights + <usize>i * ROW, leftWeights + to, NR, ROW, MR);
            packRows(grads + <usize>i * ROW, leftGrads + to, NR, ROW, MR);
          }
        }
        for (let i = 0; i < blockKeys; i += MR) {
          const packed = <usize>(i * padded) << 2;
          for (let d = 0; d < width; d += NR) {
            const to = dk + <usize>i * dkStride + (<usize>d << 2);
            gemmTile(leftGrads + packed, rightQ + <usize>(d / NR * count) * ROW, to, dkStride, count, first);
          }
          for (let e = 0; e < valueWidth; e += NR) {
            const to = dv + <usize>i * dvStride + (<usize>e << 2);
            gemmTile(leftWeights + packed, rightG + <usize>(e / NR * count) * ROW, to, dvStride, count, first);
          }
        }
        first = false;
      }
      if (first) {
        fill(dk, <usize>blockKeys * dkStride, 0);
        fill(dv, <usize>blockKeys * dvStride, 0);
      }
      storeRows(call.dk, dk, dkStride, example, head, key, blockKeys);
      storeRows(call.dv, dv, dvStride, example, head, key, blockKeys);
    }
    const factors = largest;
    fill(factors, ROW, load<f32>(scale));
    const dqStride = <usize>call.dq.rowStride << 2;
    for (let query = 0, from = dq; query < queries; query += NR, from += dqBytes) {
      const to = rowsOf(call.dq, example, head, query);
      storeTransposed(from, factors, to, dqStride, min(NR, queries - query), width);
    }
  }
}

/** Stores sums as rows of a head. */
function storeRows(all: Head, from: usize, fromStride: usize, example: i32, head: i32, first: i32, rows: i32): void {
  const stride = <usize>all.rowStride << 2;
  const width = all.width;
  let to = rowsOf(all, example, head, first);
  for (; rows > 0; rows--, from += fromStride, to += stride) {
    let d = 0;
    for (; d + 4 <= width; d += 4) v128.store(to + (<usize>d << 2), v128.load(from + (<usize>d << 2)));
    for (; d < width; d++) store<f32>(to + (<usize>d << 2), load<f32>(from + (<usize>d << 2)));
  }
}
