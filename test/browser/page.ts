/** What the tests run in a browser: backends train, and what they say goes back to the test's server. */
import { gpu, reference, report, wasm, type Backend } from '../../engine/index.ts';
import { firstLosses, train, type First } from './program.ts';

export interface PageResults {
  readonly isolated: boolean;
  readonly backends: Readonly<Record<string, First | { readonly error: string }>>;
  /** After training on the wasm backend. */
  readonly accuracy: number | null;
  /** Timers of the page that fired while the wasm backend trained. */
  readonly ticks: number;
  /** What a listener that writes files says here. */
  readonly files: string;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function measure(): Promise<PageResults> {
  const opens: Record<string, () => Promise<Backend> | Backend> = {
    wasm: () => wasm({ threads: 2 }),
    reference: () => reference(),
    webgpu: () => gpu({ mode: 'webgpu' }),
    webgl: () => gpu({ mode: 'webgl' }),
  };
  const backends: Record<string, First | { readonly error: string }> = {};
  for (const [name, open] of Object.entries(opens)) {
    try {
      const backend = await open();
      backends[name] = await firstLosses(backend);
      await backend.close();
    } catch (error) {
      backends[name] = { error: messageOf(error) };
    }
  }
  const backend = await wasm({ threads: 2 });
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const accuracy = await train(backend);
  clearInterval(timer);
  const files = await train(backend, [report('runs/page')]).then(() => 'nothing', messageOf);
  await backend.close();
  return { isolated: crossOriginIsolated, backends, accuracy, ticks, files };
}

void measure().then(
  (results) => fetch('/results', { method: 'POST', body: JSON.stringify(results) }),
  (error: unknown) => fetch('/failure', { method: 'POST', body: messageOf(error) }),
);
