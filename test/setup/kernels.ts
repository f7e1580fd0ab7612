/** Before any test: the compiled kernels are brought up to date with their sources, so that none is ever stale. */
import { buildResize } from '../../datasets/images/build/build.js';
import { buildKernels } from '../../engine/backends/wasm/build/build.js';

export default async function setup(): Promise<void> {
  await buildKernels();
  await buildResize();
}
