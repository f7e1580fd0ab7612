// The wasm backend: every case and the whole contract, with several numbers of threads and all kinds of SIMD.

import './optimized.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { SIMD_KINDS } from '../../engine/backends/wasm/simd.ts';
import { leftOut } from '../forms.ts';
import { describeConformance, describeContractOf, describeSameBits } from './conformance.ts';
import { describeOracle } from './oracle.ts';

/** What takes Winograd's F(8×4, 5×5): its bound, see engine/winograd.test.ts. These reach 3.7e-5. */
const inexact = Object.fromEntries(
  ['conv2d', 'conv2dGradInput', 'conv2dGradWeight'].flatMap((op) =>
    ['32 channels to 32, 8x8', '32 channels to 64, 6x5'].map((shape) => [`${op}: 5x5 pad 2, ${shape}`, 5e-5]),
  ),
);

for (const simd of SIMD_KINDS) {
  describeConformance(`wasm ${simd}, 1 thread`, () => wasm({ simd, threads: 1 }), { inexact });
  // More threads than this machine has cores, and than many cases have rows.
  const threads = [1, 2, 5];
  describeSameBits(
    `wasm ${simd}, ${threads.join(', ')} threads`,
    threads.map((n) => () => wasm({ simd, threads: n })),
    // The kinds share the code that divides work among threads.
    { skip: simd === 'relaxed' ? {} : leftOut() },
  );
  const backend = wasm({ simd, threads: 2 });
  // Winograd's 3×3 forms reach 5e-6 of the largest value; engine/winograd.test.ts bounds them shape by shape.
  describeOracle(`wasm ${simd}`, () => backend, 2e-5);
}
// Where the engine does not join the vectors of the wide binary (Node before 24), this is about the code that is joined elsewhere.
describeSameBits('wasm relaxed and wide', [
  () => wasm({ simd: 'relaxed', threads: 1 }),
  () => wasm({ simd: 'wide', threads: 1 }),
]);
describeContractOf('wasm auto, 3 threads', () => wasm({ threads: 3 }));
