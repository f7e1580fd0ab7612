/** PyTorch on CUDA, the baseline of the GPU backend: with separate launches of all operations, and with the step as one CUDA graph. */
import { summary, type Summary } from '../measure.ts';
import { makeBatch, startOurs } from '../ours.ts';
import { workloads } from '../workloads.ts';
import type { Skipped } from './found.ts';
import { arraysOf, checkLosses } from './networks.ts';
import { findTorch, layouts, Torch, type Layout } from './torch.ts';

export interface CudaArm {
  readonly layout: Layout;
  readonly ms: Summary;
}

export interface CudaResult {
  /** The name of the GPU. Null without one. */
  readonly device: string | null;
  readonly torch: string | null;
  readonly eager: CudaArm | null;
  readonly graph: CudaArm | null;
  readonly skipped: readonly Skipped[];
}

const WARMUP = 20;
const CHECKED = 3;

/** Steps of Caffe's full network at batch 100, in the faster layout. Skipped without PyTorch or CUDA. */
export async function compareCuda({
  seed,
  steps,
  python,
}: {
  readonly seed: number;
  readonly steps: number;
  readonly python?: string;
}): Promise<CudaResult> {
  const without = (reason: string, torch: string | null = null): CudaResult => ({
    device: null,
    torch,
    eager: null,
    graph: null,
    skipped: [{ name: 'PyTorch on CUDA', reason }],
  });
  const torchPython = findTorch(python);
  if (!torchPython.found) return without(torchPython.reason);
  // Threads and BLAS do not matter here.
  const torch = await Torch.start(torchPython.value, 1, { anyBlas: true });
  try {
    const { versions } = torch;
    if (versions.cuda === null)
      return without(`PyTorch ${versions.torch} finds no CUDA device`, versions.torch);
    const workload = workloads.full;
    const batch = makeBatch(workload, seed);
    // The losses of our CPU backend check that the work is the same.
    const ours = await startOurs(workload, batch, { threads: 1, seed });
    try {
      await ours.turn(CHECKED, 0);
      const arrays = arraysOf(workload, ours, batch);
      const measure = async (how: 'cuda' | 'cuda graph'): Promise<CudaArm> => {
        let best: CudaArm | null = null;
        for (const layout of layouts) {
          await torch.network(workload, layout, arrays, how);
          const { losses } = await torch.turn(0, CHECKED, true);
          checkLosses(`${workload.name} on ${how}`, ours.losses.slice(0, CHECKED), losses);
          const ms = summary((await torch.turn(WARMUP, steps, true)).ms);
          if (best === null || ms.median < best.ms.median) best = { layout, ms };
        }
        return best!;
      };
      return {
        device: versions.cuda,
        torch: versions.torch,
        eager: await measure('cuda'),
        graph: await measure('cuda graph'),
        skipped: [],
      };
    } finally {
      await ours.close();
    }
  } finally {
    await torch.close();
  }
}
