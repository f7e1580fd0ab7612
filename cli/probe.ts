/** Whether a backend runs here, tried with a small step. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { compile, f32, gpu, matmul, sum, tensor, type Backend, type Report } from '../engine/index.ts';

/** Whether something works on this machine. If not, the reason and the fix. */
export type Finding =
  | { readonly works: true; readonly detail: string }
  | { readonly works: false; readonly reason: string; readonly fix: string };

/** Whether a mode of the GPU backend runs, and its report. */
export interface GpuFinding {
  readonly run: Finding;
  readonly report: Report | null;
}

/** Runs a small step that uses every part: feeds, the thread team, kernels, outputs. */
export async function tryBackend(
  make: () => Promise<Backend>,
  fix: string,
): Promise<{ readonly run: Finding; readonly report: Report | null }> {
  let backend: Backend | null = null;
  try {
    backend = await make();
    const ones = tensor([[1], [1], [1]]);
    const step = await compile(backend, {
      inputs: { x: f32(2, 3) },
      build: ({ x }) => ({ outputs: { total: sum(matmul(x, ones)) } }),
    });
    const { total } = await step.run({ x: Float32Array.of(1, 2, 3, 4, 5, 6) });
    const { report } = step;
    await step.close();
    const result = total.data[0];
    if (result !== 21) {
      const reason = `the result of a test is ${String(result)}, expected 21`;
      return { run: { works: false, reason, fix: 'please report this' }, report };
    }
    return { run: { works: true, detail: report.executor }, report };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { run: { works: false, reason, fix }, report: null };
  } finally {
    await backend?.close().catch(() => undefined);
  }
}

/** Both modes of the GPU backend. */
export interface GpuDiagnosis {
  readonly webgpu: GpuFinding;
  readonly webgl: GpuFinding;
}

export const diagnoseGpu = async (): Promise<GpuDiagnosis> => ({
  webgpu: await tryBackend(() => gpu({ mode: 'webgpu' }), webGpuHelp()),
  webgl: await tryBackend(() => gpu({ mode: 'webgl' }), webGlHelp()),
});

/** `diagnoseGpu` in a process of its own. The native modules print warnings there, and a driver that crashes ends only that process. */
export async function diagnoseGpuApart(): Promise<GpuDiagnosis> {
  // Without a top-level await: Deno evaluates the program as a script.
  const program = `import(${JSON.stringify(import.meta.url)}).then(async ({ diagnoseGpu }) => {
  process.stdout.write(JSON.stringify(await diagnoseGpu()));
  process.exit();
});`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  if (code === 0) return JSON.parse(text) as GpuDiagnosis;
  const reason = `the test of the GPU ended with ${signal ?? `exit code ${code}`}`;
  const failed: GpuFinding = {
    run: { works: false, reason, fix: 'update the driver of the GPU; other backends do not need it' },
    report: null,
  };
  return { webgpu: failed, webgl: failed };
}

/** The command that installs the missing packages, followed by the other requirements. */
function help(packages: Readonly<Record<string, string>>, more: string): string {
  const { resolve } = createRequire(import.meta.url);
  const missing = Object.entries(packages).filter(([name]) => {
    try {
      return resolve(name) === '';
    } catch (error) {
      // A package without `require` exports throws another error.
      return (error as { readonly code?: unknown }).code === 'MODULE_NOT_FOUND';
    }
  });
  const named = missing.map(([name, version]) => ` ${name}@${version}`).join('');
  return named === '' ? more : `npm install${named}; then ${more}`;
}

const webGpuHelp = (): string =>
  help(
    { 'gpu.js': '2.24.1', webgpu: '0.6.2' },
    'a GPU with its driver (on Linux: Vulkan, for instance apt-get install libvulkan1 and the driver of the GPU; ' +
      'vulkaninfo --summary must list it)',
  );

const webGlHelp = (): string =>
  help(
    { 'gpu.js': '2.24.1' },
    'npm install gl@9.0.0-rc.10 (gpu.js depends on a version without binaries); on Linux also an X server: ' +
      'apt-get install xvfb, and xvfb-run -a before the command',
  );
