/** The listener tensorboard: a reader written for the tests, and Google's protobuf where Python has it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fit, reference, tensorboard } from 'cyclegrad';
import { loader, synthetic } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { crc32 } from '../png.ts';
import { end, evalEvent, play, start, steps } from './listener-fixture.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cyclegrad-tensorboard-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const filesIn = (folder: string): readonly string[] =>
  readdirSync(join(dir, folder))
    .sort()
    .map((name) => join(dir, folder, name));

/** A field of a message: a number, or the bytes of a text or message. */
interface Field {
  readonly number: number;
  readonly value: number | Buffer;
}

function fieldsOf(bytes: Buffer): readonly Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      factor *= 128;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const wire = tag & 7;
    let value: number | Buffer;
    if (wire === 0) value = varint();
    else if (wire === 1) value = bytes.readDoubleLE((at += 8) - 8);
    else if (wire === 5) value = bytes.readFloatLE((at += 4) - 4);
    else {
      const length = varint();
      value = bytes.subarray(at, (at += length));
    }
    fields.push({ number: tag >> 3, value });
  }
  return fields;
}

const field = (fields: readonly Field[], number: number): number | Buffer | undefined =>
  fields.find((one) => one.number === number)?.value;

/** The events of a file, without their checksums, which Python checks below. */
function eventsIn(path: string): readonly (readonly Field[])[] {
  const bytes = readFileSync(path);
  const events: (readonly Field[])[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at));
    events.push(fieldsOf(bytes.subarray(at + 12, at + 12 + length)));
    at += length + 16;
  }
  return events;
}

/** The values of a summary: 'step name=value'. */
const scalarsIn = (path: string): readonly string[] =>
  eventsIn(path).flatMap((event) =>
    fieldsOf((field(event, 5) ?? Buffer.alloc(0)) as Buffer).flatMap(({ value }) => {
      const parts = fieldsOf(value as Buffer);
      const number = field(parts, 2);
      const name = (field(parts, 1) as Buffer).toString();
      return number === undefined
        ? []
        : [`${Number(field(event, 2) ?? 0)} ${name}=${(number as number).toPrecision(4)}`];
    }),
  );

describe('tensorboard', () => {
  test('writes training and validation, with equal names', async () => {
    const board = tensorboard(dir, { every: 2 });
    await play(board, [start(0, 4), evalEvent(0, 0.1), ...steps(0, 4, 4), evalEvent(4, 0.5), end(4, 4)]);
    expect(scalarsIn(filesIn('validation')[0])).toEqual([
      '0 loss=0.9000',
      '0 accuracy=0.1000',
      '4 loss=0.5000',
      '4 accuracy=0.5000',
    ]);
    expect(scalarsIn(filesIn('train')[0])).toEqual([
      ...['loss=1.875', 'accuracy=0.1250', 'hyper/lr=0.001010', 'hyper/momentum=0.9000'].map(
        (text) => `2 ${text}`,
      ),
      '2 examples_per_second=3333',
      ...['loss=1.375', 'accuracy=0.6250', 'hyper/lr=0.001030', 'hyper/momentum=0.9000'].map(
        (text) => `4 ${text}`,
      ),
      '4 examples_per_second=3333',
    ]);
  });

  test('begins with the version and the step, from which TensorBoard forgets older points', async () => {
    await play(tensorboard(dir), [start(7, 9), end(7, 9)]);
    const [version, session] = eventsIn(filesIn('train')[0]);
    expect((field(version, 3) as Buffer).toString()).toBe('brain.Event:2');
    expect(field(session, 2)).toBe(8); // the points at step 7 stay
    expect(field(fieldsOf(field(session, 7) as Buffer), 1)).toBe(1);
  });

  test('a resumed run adds files after the others, a new run deletes them', async () => {
    await play(tensorboard(dir), [start(0, 9), ...steps(0, 2, 9)]);
    const [first] = filesIn('train');
    const before = readFileSync(first);
    await play(tensorboard(dir), [start(1, 9), ...steps(1, 3, 9), end(3, 9)]);
    const files = filesIn('train');
    expect(files).toHaveLength(2);
    expect(files[0]).toBe(first);
    expect(readFileSync(first)).toEqual(before);
    await play(tensorboard(dir), [start(0, 9), ...steps(0, 2, 9), end(2, 9)]);
    expect(filesIn('train')).toHaveLength(1);
    expect(scalarsIn(filesIn('train')[0])[0]).toBe('1 loss=2.000');
  });

  test('points end at a checkpoint, so that a resumed run does not count steps twice', async () => {
    const board = tensorboard(dir, { every: 10 });
    await play(board, [start(0, 20), ...steps(0, 4, 20)]);
    await board.flush!();
    await play(board, [...steps(4, 10, 20), end(10, 20)]);
    const losses = scalarsIn(filesIn('train')[0]).filter((line) => line.includes('loss='));
    expect(losses.map((line) => line.split(' ')[0])).toEqual(['4', '10']);
  });

  test('wrong use', async () => {
    expect(() => tensorboard('')).toThrow("tensorboard: dir must be the path of a folder, got ''");
    expect(() => tensorboard(dir, { every: 0 })).toThrow('tensorboard: every must be an integer >= 1, got 0');
    expect(() => tensorboard(dir, { config: 3 as never })).toThrow(
      'tensorboard: config must be an object of plain data, got 3',
    );
    const board = tensorboard(dir);
    await expect(board.scalar('a', 0, 1)).rejects.toThrow('tensorboard: scalar: the run has not started');
    await board(start(0, 1));
    await expect(board.scalar('a', -1, 1)).rejects.toThrow(
      'tensorboard: scalar: step must be an integer >= 0, got -1',
    );
    await expect(
      board.image('a', 0, { shape: [2, 2], dtype: 'u8', data: new Uint8Array(4) }),
    ).rejects.toThrow('tensorboard: image: it must be bytes [H, W, C] with 1 to 4 channels, got u8 [2, 2]');
    await expect(play(tensorboard(join(filesIn('train')[0], 'x')), [start(0, 1)])).rejects.toThrow(
      'tensorboard: cannot write',
    );
  });
});

const script = fileURLToPath(new URL('tensorboard_events.py', import.meta.url));
const python = ['/usr/bin/python3', 'python3'].find(
  (name) => spawnSync(name, ['-c', 'import google.protobuf']).status === 0,
);

interface PythonEvent {
  readonly step?: string;
  readonly summary?: { readonly value: readonly Readonly<Record<string, unknown>>[] };
}

test.skipIf(python === undefined)(
  `Google's protobuf reads the files${python === undefined ? ', not here: python3 has no google.protobuf' : ''}`,
  async () => {
    const points = synthetic({ kind: 'blobs', n: 12, classes: 3, seed: 1 });
    const board = tensorboard(dir, { config: { net: 'mlp', width: 8, fast: true } });
    const pixels = { shape: [2, 1, 3], dtype: 'u8', data: Uint8Array.of(255, 0, 0, 0, 0, 255) } as const;
    await fit({
      model: nn.mlp([2, 8, 3]),
      backend: reference(),
      optimizer: sgd({ lr: 0.1 }),
      data: loader(points, { batchSize: 4 }),
      eval: { data: points, every: 2 },
      steps: 4,
      listeners: [
        board,
        async (event) => {
          if (event.type !== 'eval') return;
          await board.histogram('weights', event.step, [0, 1, 1, 2, NaN, 3]);
          await board.histogram('constant', event.step, [2, 2]);
          await board.image('pixels', event.step, pixels);
          await board.text('note', event.step, 'a *note*');
        },
      ],
    });
    const paths = [...filesIn('train'), ...filesIn('validation')];
    const { stdout, stderr, status } = spawnSync(python!, ['-B', script, ...paths], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as PythonEvent);
    const values = events.flatMap(({ summary }) => summary?.value ?? []);
    const named = (tag: string) => values.filter((value) => value['tag'] === tag);
    expect(named('loss')).toHaveLength(4 + 3);
    expect(named('hyper/lr').map((value) => value['simple_value'])).toEqual([0.1, 0.1, 0.1, 0.1]);
    expect(named('weights')[0]['histo']).toMatchObject({ max: 3, num: 5, sum: 7, sum_squares: 15 });
    const { bucket, bucket_limit: limits } = named('weights')[0]['histo'] as Record<
      string,
      readonly number[]
    >;
    expect([bucket.length, limits.length, limits.at(-1)]).toEqual([30, 30, 3]);
    expect(bucket.map((count, i) => (count > 0 ? [i, count] : [])).flat()).toEqual([
      0, 1, 10, 2, 20, 1, 29, 1,
    ]);
    expect(named('constant')[0]['histo']).toMatchObject({ bucket: [2] });
    const image = named('pixels')[0]['image'] as Record<string, unknown>;
    expect(image).toMatchObject({ height: 2, width: 1, colorspace: 3 });
    const png = Buffer.from(image['encoded'] as string, 'base64');
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    expect(png.readUInt32BE(29)).toBe(crc32(png.subarray(12, 29)));
    const note = named('note/text_summary')[0];
    expect(note['metadata']).toEqual({ plugin_data: { plugin_name: 'text' } });
    const [content] = (note['tensor'] as Record<string, readonly string[]>)['string_val'];
    expect(Buffer.from(content, 'base64').toString()).toBe('a *note*');
    expect(named('_hparams_/session_start_info')[0]['hparams']).toMatchObject({
      session_start_info: { hparams: { net: 'mlp', width: 8, fast: true, steps: 4, batchSize: 4 } },
    });
    expect(named('_hparams_/session_end_info')[0]['hparams']).toMatchObject({
      session_end_info: { status: 1 },
    });
  },
);
