/**
 * Event files of TensorBoard: TFRecords of `Event` messages. Field numbers are those of event.proto, summary.proto, tensor.proto and the
 * hparams plugin (https://github.com/tensorflow/tensorboard).
 */
import type Protobuf from 'protobufjs/minimal.js';
import { crc32c } from './crc32.ts';

type Writer = Protobuf.Writer;
/** Writes the fields of a message. */
type Fields = (writer: Writer) => void;

/** The package is loaded when the first file is opened. */
let protobuf: typeof Protobuf | null = null;
export async function loadProtobuf(): Promise<void> {
  protobuf ??= (await import('protobufjs/minimal.js')).default;
}

const VARINT = 0;
const DOUBLE = 1;
const BYTES = 2;
const FLOAT = 5;
const tag = (field: number, wire: number): number => (field << 3) | wire;

const text =
  (field: number, value: string): Fields =>
  (w) =>
    void w.uint32(tag(field, BYTES)).string(value);
const bytes =
  (field: number, value: Uint8Array): Fields =>
  (w) =>
    void w.uint32(tag(field, BYTES)).bytes(value);
const integer =
  (field: number, value: number): Fields =>
  (w) =>
    void w.uint32(tag(field, VARINT)).int64(value);
const double =
  (field: number, value: number): Fields =>
  (w) =>
    void w.uint32(tag(field, DOUBLE)).double(value);
const float =
  (field: number, value: number): Fields =>
  (w) =>
    void w.uint32(tag(field, FLOAT)).float(value);
const message =
  (field: number, ...fields: readonly Fields[]): Fields =>
  (w) => {
    w.uint32(tag(field, BYTES)).fork();
    for (const write of fields) write(w);
    w.ldelim();
  };
const doubles =
  (field: number, values: readonly number[]): Fields =>
  (w) => {
    w.uint32(tag(field, BYTES)).fork();
    for (const value of values) w.double(value);
    w.ldelim();
  };

const encode = (fields: readonly Fields[]): Uint8Array => {
  const writer = protobuf!.Writer.create();
  for (const write of fields) write(writer);
  return writer.finish();
};

/** A part of a Summary: a name and what it has. */
export type SummaryValue = Fields;

const named = (name: string, ...fields: readonly Fields[]): SummaryValue =>
  message(1, text(1, name), ...fields);

export const scalarValue = (name: string, value: number): SummaryValue => named(name, float(2, value));

const plugin = (name: string, content?: Uint8Array): Fields =>
  message(9, message(1, text(1, name), ...(content === undefined ? [] : [bytes(2, content)])));

const DT_STRING = 7;

/** Text, which TensorBoard shows as Markdown. */
export const textValue = (name: string, value: string): SummaryValue =>
  named(
    `${name}/text_summary`,
    plugin('text'),
    message(8, integer(1, DT_STRING), message(2, message(2, integer(1, 1))), text(8, value)),
  );

export interface ImageContents {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly png: Uint8Array;
}

export const imageValue = (name: string, { height, width, channels, png }: ImageContents): SummaryValue =>
  named(name, message(4, integer(1, height), integer(2, width), integer(3, channels), bytes(4, png)));

const BUCKETS = 30;

/** The distribution of numbers in 30 buckets of equal width. Numbers that are not finite are left out. */
export function histogramValue(name: string, values: Iterable<number>): SummaryValue {
  const finite = Float64Array.from(values).filter(Number.isFinite);
  const low = finite.reduce((a, b) => Math.min(a, b), Infinity);
  const high = finite.reduce((a, b) => Math.max(a, b), -Infinity);
  if (finite.length === 0) return named(name, message(5, double(1, 0), double(2, 0), double(3, 0)));
  // A constant has no width.
  const width = high > low ? (high - low) / BUCKETS : Math.max(Math.abs(low) * 1e-6, 1e-12);
  const counts = Array.from({ length: high > low ? BUCKETS : 1 }, () => 0);
  let [sum, squares] = [0, 0];
  for (const value of finite) {
    counts[Math.min(counts.length - 1, Math.floor((value - low) / width))]++;
    sum += value;
    squares += value * value;
  }
  const limits = counts.map((_, i) =>
    i === counts.length - 1 ? Math.max(high, low + width) : low + width * (i + 1),
  );
  return named(
    name,
    message(
      5,
      double(1, low),
      double(2, high),
      double(3, finite.length),
      double(4, sum),
      double(5, squares),
      doubles(6, limits),
      doubles(7, counts),
    ),
  );
}

/** A value of google.protobuf.Value. */
const plain = (field: number, value: unknown): Fields =>
  typeof value === 'number'
    ? message(field, double(2, value))
    : typeof value === 'boolean'
      ? message(field, integer(4, Number(value)))
      : message(field, text(3, typeof value === 'string' ? value : JSON.stringify(value)));

/** The hyperparameters of a run, for the tab HParams. */
export const startOfSession = (
  name: string,
  settings: Readonly<Record<string, unknown>>,
  time: number,
): SummaryValue => {
  const entries = Object.entries(settings).map(([key, value]) => message(1, text(1, key), plain(2, value)));
  return named(
    '_hparams_/session_start_info',
    plugin('hparams', encode([integer(1, 0), message(3, ...entries, text(4, name), double(5, time))])),
  );
};

const SUCCESS = 1;
const FAILURE = 2;

export const endOfSession = (isSuccess: boolean, time: number): SummaryValue =>
  named(
    '_hparams_/session_end_info',
    plugin(
      'hparams',
      encode([integer(1, 0), message(4, integer(1, isSuccess ? SUCCESS : FAILURE), double(2, time))]),
    ),
  );

/** A summary of values at a step, as a record of the file. `time` is in seconds since 1970. */
export const summaryRecord = (time: number, step: number, values: readonly SummaryValue[]): Uint8Array =>
  record(encode([double(1, time), integer(2, step), message(5, ...values)]));

const SESSION_START = 1;

/**
 * The beginning of a file. After it, TensorBoard forgets the values of earlier files from `step` on, which a run that was killed after
 * its last checkpoint leaves.
 */
export const firstRecords = (time: number, step: number): Uint8Array =>
  joined([
    record(encode([double(1, time), text(3, 'brain.Event:2')])),
    record(encode([double(1, time), integer(2, step), message(7, integer(1, SESSION_START))])),
  ]);

/** A TFRecord: length, its checksum, data, and their checksum. */
export function record(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(data.length + 16);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(crc32c(out.subarray(0, 8))), true);
  out.set(data, 12);
  view.setUint32(12 + data.length, masked(crc32c(data)), true);
  return out;
}

/** TFRecords store rotated checksums, because the data may contain checksums itself. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
