/** A process that trains Caffe's network for a few steps and reports its time and memory. memory.ts starts one for each measurement. */
const [steps, images, threads] = process.argv.slice(2).map(Number) as [number, number, number];
const beforeImport = performance.now();
const { train, wasm } = await import('cyclegrad');
const { caffeFull } = await import('cyclegrad/nn');
const { arrays, loader, meanImage } = await import('cyclegrad/datasets');
const { sgd } = await import('cyclegrad/optim');
const imported = performance.now();

// Arbitrary bytes: a random generator would take longer than the training.
const data = new Uint8Array(images * 32 * 32 * 3);
for (let i = 0; i < data.length; i++) data[i] = Math.imul(i, 2_654_435_761) >>> 24;
const labels = Int32Array.from({ length: images }, (_, i) => i % 10);
const dataset = arrays({ shape: [images, 32, 32, 3], data }, labels, { classes: 10 });
const mean = meanImage(dataset);
const prepared = performance.now();

const backend = await wasm({ threads });
const events = train({
  model: caffeFull({ mean }),
  backend,
  steps,
  seed: 1,
  data: loader(dataset, { batchSize: 100, shuffle: false }),
  optimizer: sgd({ lr: 0.001, momentum: 0.9, weightDecay: 0.004, form: 'caffe' }),
});
let startedAt = NaN;
let firstStepMs = NaN;
let report: unknown = null;
for await (const event of events) {
  if (event.type === 'start') {
    startedAt = performance.now();
    report = event.report;
  }
  if (event.type === 'step' && event.step === 0) firstStepMs = event.ms;
}
await backend.close();
process.stdout.write(
  JSON.stringify({
    // The clock starts with the process.
    nodeMs: beforeImport,
    importMs: imported - beforeImport,
    // Without the time for generating the data.
    fromImportMs: startedAt - beforeImport - (prepared - imported),
    fromProcessMs: startedAt - (prepared - imported),
    firstStepMs,
    peakBytes: process.resourceUsage().maxRSS * 1024,
    report,
  }),
);
export {};
