/** The public API of training in a worker: the side of the worker and the side of the page. */
export type { Port } from './messages.ts';
export { serveTraining, type ServeOptions, type TrainingFor } from './serve.ts';
export { trainInWorker, type WorkerRun, type WorkerRunOptions } from './run.ts';
