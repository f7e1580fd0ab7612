/** Damaged image files: `readImage` gives an image of the right size or a DataError, fast. */
import sharp, { type Sharp } from 'sharp';
import { DataError } from 'cyclegrad';
import { readImage } from 'cyclegrad/datasets';
import { crc32 } from '../../png.ts';
import type { Random } from '../random.ts';
import type { FuzzTarget } from './target.ts';

/** Processor time of one case, in ms. */
const MAX_MS = 2000;

const [WIDTH, HEIGHT] = [40, 30];
const source = (channels: 3 | 4): Sharp => {
  const data = Uint8Array.from({ length: WIDTH * HEIGHT * channels }, (_, i) => (i * i * 7 + (i >> 5)) & 255);
  return sharp(data, { raw: { width: WIDTH, height: HEIGHT, channels } });
};
const animated = (): Sharp =>
  sharp(
    [0, 90, 200].map((red) => ({
      create: { width: 16, height: 16, channels: 3 as const, background: { r: red, g: 9, b: 50 } },
    })) as never,
    { join: { animated: true } },
  );

/** Right files of each format, a few kB each. */
const FILES: Readonly<Record<string, () => readonly Sharp[]>> = {
  png: () => [
    source(3).png(),
    source(4).png({ progressive: true }),
    source(4).png({ palette: true, colours: 5 }),
    source(3).toColourspace('rgb16').png(),
    source(3).withIccProfile('p3').withMetadata({ orientation: 6 }).png(),
  ],
  jpeg: () => [
    source(3).jpeg(),
    source(3).jpeg({ progressive: true, chromaSubsampling: '4:4:4' }),
    source(3).toColourspace('cmyk').jpeg(),
    source(3).toColourspace('b-w').jpeg({ optimizeCoding: false }),
    source(3).withIccProfile('p3').withMetadata({ orientation: 7 }).jpeg(),
  ],
  webp: () => [source(4).webp(), source(4).webp({ lossless: true }), animated().webp()],
  gif: () => [source(4).gif(), animated().gif()],
  tiff: () => [
    source(3).tiff({ compression: 'none' }),
    source(4).tiff({ compression: 'lzw', predictor: 'horizontal' }),
    source(3).tiff({ compression: 'jpeg', tile: true, tileWidth: 32, tileHeight: 32 }),
    source(3).toColourspace('b-w').tiff({ compression: 'ccittfax4', bitdepth: 1 }),
    source(3).toColourspace('rgb16').tiff({ compression: 'deflate', bigtiff: true }),
  ],
  avif: () => [
    source(3).avif({ effort: 0 }),
    source(4).avif({ effort: 0, lossless: true, chromaSubsampling: '4:4:4' }),
  ],
};

type Mutation = (bytes: Buffer, random: Random) => Buffer;

/** A part of the file. Headers come first, so half of the parts lie there. */
function partOf(bytes: Buffer, random: Random): readonly [from: number, to: number] {
  const end = random.below(2) === 0 ? Math.min(bytes.length, 128) : bytes.length;
  const from = random.below(Math.max(1, end));
  return [from, Math.min(bytes.length, from + 1 + random.below(64))];
}

const MUTATIONS: readonly Mutation[] = [
  function truncate(bytes, random) {
    return bytes.subarray(0, random.below(bytes.length + 1));
  },
  function flipBits(bytes, random) {
    for (let i = 1 + random.below(8); i > 0 && bytes.length > 0; i--)
      bytes[partOf(bytes, random)[0]] ^= 1 << random.below(8);
    return bytes;
  },
  /** What a header may claim: sizes, counts and offsets. */
  function claim(bytes, random) {
    const [at] = partOf(bytes, random);
    const value = random.pick([
      0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 65_500,
    ]);
    const size = random.pick([1, 2, 4]);
    if (at + size > bytes.length) return bytes;
    if (random.below(2) === 0) bytes.writeUIntBE(value % 2 ** (8 * size), at, size);
    else bytes.writeUIntLE(value % 2 ** (8 * size), at, size);
    return bytes;
  },
  function swap(bytes, random) {
    const [from, to] = partOf(bytes, random);
    const other = random.below(bytes.length + 1);
    if (other < to) return bytes;
    return Buffer.concat([
      bytes.subarray(0, from),
      bytes.subarray(to, other),
      bytes.subarray(from, to),
      bytes.subarray(other),
    ]);
  },
  function repeat(bytes, random) {
    const [from, to] = partOf(bytes, random);
    const times = 1 + random.below(200);
    const part = bytes.subarray(from, to);
    return Buffer.concat([bytes.subarray(0, to), ...Array<Buffer>(times).fill(part), bytes.subarray(to)]);
  },
  function remove(bytes, random) {
    const [from, to] = partOf(bytes, random);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  function noise(bytes, random) {
    const [from, to] = partOf(bytes, random);
    bytes.set(random.bytes(to - from), from);
    return bytes;
  },
];

/** Corrects the checksums of a PNG, so that what was changed reaches the decoder. */
function withChecksums(bytes: Buffer): Buffer {
  for (let at = 8; at + 12 <= bytes.length;) {
    const end = at + 8 + bytes.readUInt32BE(at);
    if (end + 4 > bytes.length) break;
    bytes.writeUInt32BE(crc32(bytes.subarray(at + 4, end)), end);
    at = end + 4;
  }
  return bytes;
}

const encoded = new Map<string, Promise<readonly Buffer[]>>();

function filesOf(format: string): Promise<readonly Buffer[]> {
  const files = encoded.get(format) ?? Promise.all(FILES[format]().map((image) => image.toBuffer()));
  encoded.set(format, files);
  return files;
}

async function damaged(format: string, random: Random): Promise<Buffer> {
  let bytes: Buffer = Buffer.from(random.pick(await filesOf(format)));
  for (let i = 1 + random.below(3); i > 0; i--) bytes = random.pick(MUTATIONS)(Buffer.from(bytes), random);
  return format === 'png' && random.below(2) === 0 ? withChecksums(Buffer.from(bytes)) : bytes;
}

async function check(bytes: Buffer): Promise<void> {
  const start = process.cpuUsage();
  const size = { height: 4, width: 6 };
  try {
    const { shape, data } = await readImage(bytes, size);
    if (shape.join() !== '1,4,6,3' || data.length !== 72)
      throw new Error(`the shape is [${shape.join(', ')}]`);
  } catch (error) {
    const isClear = error instanceof DataError && /^readImage: the image: .{10,1000}$/.test(error.message);
    if (!isClear) throw new Error(`no clear error: ${String(error)}`, { cause: error });
  }
  const { user, system } = process.cpuUsage(start);
  const ms = (user + system) / 1000;
  if (ms > MAX_MS)
    throw new Error(`a file of ${bytes.length} bytes took ${Math.round(ms)} ms of processor time`);
}

/** One target for each format. */
export const imageTargets: readonly FuzzTarget[] = Object.keys(FILES).map((format) => ({
  name: `image-${format}`,
  run: async (random) => check(await damaged(format, random)),
}));
