/** Runs in a page whose content security policy has no 'unsafe-eval': every backend, and training in a worker. */
import { compile, f32, gpu, mul, reference, wasm, type Backend } from '../../engine/index.ts';
import { toOnnx } from '../../engine/interop/index.ts';
import * as nn from '../../engine/nn/index.ts';
import { trainInWorker } from '../../engine/worker/index.ts';
import { cyclicLR } from '../../schedulers/index.ts';
import type { Input } from './policy-worker.ts';

export interface PolicyResults {
  readonly isolated: boolean;
  /** The values that each backend computes, or the message of its error. */
  readonly backends: Readonly<Record<string, string>>;
  /** The directives that the policy enforced against training and the CPU backend. */
  readonly violations: readonly string[];
  readonly worker: {
    readonly executor: string;
    readonly fallback: string | null;
    readonly reason: string;
    readonly steps: number;
    readonly rates: readonly number[];
    readonly resumed: boolean;
    readonly checkpoint: number;
    readonly missing: string;
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function twice(backend: Backend): Promise<string> {
  const step = await compile(backend, {
    inputs: { x: f32(3) },
    build: ({ x }) => ({ outputs: { y: mul(x, 2) } }),
  });
  const { y } = await step.run({ x: Float32Array.of(1, 2, 3) });
  await step.close();
  await backend.close();
  return `${step.report.backend}: ${y.data.join()}`;
}

const newWorker = (url = './policy-worker.js'): Worker =>
  new Worker(new URL(url, import.meta.url), { type: 'module' });

async function trainThere(): Promise<PolicyResults['worker']> {
  const worker = newWorker();
  const rates: number[] = [];
  const lr = cyclicLR({ base: 0.01, max: 0.05, stepSize: 10 });
  const run = trainInWorker<Input>(worker, {
    input: { lr: 0.05, steps: 60 },
    listeners: [(event) => void (event.type === 'step' && rates.push(event.hyper['lr']))],
  });
  await run.pause();
  await run.reschedule('lr', lr);
  const bytes = await run.checkpoint();
  await run.resume();
  const { report, reason, step } = await run.result;
  const rest = trainInWorker<Input>(worker, { input: { lr: 0.05, steps: 60 }, resumeFrom: bytes });
  const resumed = (await rest.result).step === 60;
  worker.terminate();
  const gone = trainInWorker<Input>(newWorker('./missing.js'), { input: { lr: 0.1, steps: 1 } });
  const missing = await gone.result.then(() => 'trained', messageOf);
  if (report.backend !== 'wasm') throw new Error(`the worker trained on ${report.backend}`);
  const { executor, fallback } = report;
  return { executor, fallback, reason, steps: step, rates, resumed, checkpoint: bytes.length, missing };
}

async function measure(): Promise<PolicyResults> {
  const refused: string[] = [];
  addEventListener('securitypolicyviolation', (event) => refused.push(event.effectiveDirective));
  const worker = await trainThere();
  const backends: Record<string, string> = {};
  const attempt = async (name: string, compute: () => Promise<string>): Promise<void> => {
    backends[name] = await compute().catch(messageOf);
  };
  await attempt('wasm', async () => twice(await wasm({ threads: 1 })));
  const violations = refused.splice(0);
  await attempt('webgpu', async () => twice(await gpu({ mode: 'webgpu' })));
  await attempt('webgl', async () => twice(await gpu({ mode: 'webgl' })));
  await attempt('cpu', async () => twice(await gpu({ mode: 'cpu' })));
  await attempt('reference', async () => twice(reference()));
  await attempt('onnx', async () => {
    const model = nn.dense(2, 2);
    const bytes = await toOnnx(model, nn.initState(model, null, 1), { input: [2] });
    return String(bytes.length);
  });
  const isolated = crossOriginIsolated;
  return { isolated, backends, violations, worker };
}

void measure().then(
  (results) => fetch('/results', { method: 'POST', body: JSON.stringify(results) }),
  (error: unknown) => fetch('/failure', { method: 'POST', body: messageOf(error) }),
);
