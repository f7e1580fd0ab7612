/**
 * The parts of image files: chunks, segments, frames, pages and boxes. Decoders read all of them, even for the first frame alone, and
 * some need quadratic time or store texts that inflate to gigabytes. Measurements are in docs/notes/images.md.
 */
import { DataError } from '../../engine/errors.ts';
import type { ImageFormat } from './image.ts';

/** Where the first part starts, and where the part after one at `at` starts. Reading beyond the end throws RangeError. */
interface Walk {
  readonly first: (view: DataView) => number;
  readonly next: (view: DataView, at: number) => number;
  /** The largest number of parts. */
  readonly limit: number;
}

const isBigTiff = (view: DataView): boolean => view.getUint16(2, isLittle(view)) === 43;
const isLittle = (view: DataView): boolean => view.getUint8(0) === 0x49;

/** The end of GIF's data, which comes in blocks of at most 255 bytes. */
function endOfBlocks(view: DataView, start: number): number {
  let at = start;
  while (view.getUint8(at) !== 0) at += 1 + view.getUint8(at);
  return at + 1;
}

/** The bytes of a GIF's color table, whose size is in the byte at `at`. */
const tableBytes = (view: DataView, at: number): number => {
  const flags = view.getUint8(at);
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
};

const WALKS: Readonly<Record<ImageFormat, Walk>> = {
  PNG: {
    first: () => 8,
    next: (view, at) => at + 12 + view.getUint32(at),
    limit: 65_536,
  },
  JPEG: {
    first: () => 2,
    next(view, at) {
      const end = at + 2 + view.getUint16(at + 2);
      return view.getUint8(at + 1) === 0xda ? endOfScan(view, end) : end;
    },
    limit: 512,
  },
  WebP: {
    first: () => 12,
    next(view, at) {
      const size = view.getUint32(at + 4, true);
      return at + 8 + size + (size % 2);
    },
    limit: 4096,
  },
  AVIF: {
    first: () => 0,
    next(view, at) {
      const size = view.getUint32(at);
      if (size === 0) return view.byteLength;
      return at + (size === 1 ? Number(view.getBigUint64(at + 8)) : size);
    },
    limit: 4096,
  },
  GIF: {
    first: (view) => 13 + tableBytes(view, 10),
    next(view, at) {
      const kind = view.getUint8(at);
      if (kind === 0x21) return endOfBlocks(view, at + 2);
      if (kind === 0x2c) return endOfBlocks(view, at + 11 + tableBytes(view, at + 9));
      return view.byteLength;
    },
    limit: 8192,
  },
  TIFF: {
    first: (view) =>
      isBigTiff(view) ? Number(view.getBigUint64(8, isLittle(view))) : view.getUint32(4, isLittle(view)),
    next(view, at) {
      const little = isLittle(view);
      const next = isBigTiff(view)
        ? Number(view.getBigUint64(at + 8 + Number(view.getBigUint64(at, little)) * 20, little))
        : view.getUint32(at + 2 + view.getUint16(at, little) * 12, little);
      return next === 0 ? view.byteLength : next;
    },
    limit: 4096,
  },
};

/** The next marker after the pixels of a scan, in which 0xff is followed by 0 or by a number of a restart. */
function endOfScan(view: DataView, start: number): number {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  for (let at = bytes.indexOf(0xff, start); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const marker = view.getUint8(at + 1);
    if (marker !== 0 && marker !== 0xff && (marker < 0xd0 || marker > 0xd7)) return at;
  }
  return view.byteLength;
}

/** The start of each part, up to the first that is not whole: the decoder reports that one. */
function* partsOf(view: DataView, { first, next }: Walk): Generator<number> {
  try {
    let at = first(view);
    while (at < view.byteLength) {
      yield at;
      at = next(view, at);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
}

/** What the header of a file says about its image. */
export interface Header {
  readonly width: number;
  readonly height: number;
  readonly isProgressive: boolean;
}

/**
 * The header of a PNG file or of a JPEG file with 8 bits. Null for others, and for a header that is not whole: there the decoder has to
 * look.
 */
export function headerOf(bytes: Uint8Array, format: ImageFormat): Header | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (format === 'PNG' && bytes.length >= 29 && view.getUint32(12) === codeOf('IHDR')) {
    return { width: view.getUint32(16), height: view.getUint32(20), isProgressive: view.getUint8(28) !== 0 };
  }
  if (format !== 'JPEG') return null;
  for (const at of partsOf(view, WALKS.JPEG)) {
    if (at + 9 > bytes.length || view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    // Baseline, extended and progressive frames with Huffman coding.
    if (marker < 0xc0 || marker > 0xc2) continue;
    if (view.getUint8(at + 4) !== 8) return null;
    return {
      width: view.getUint16(at + 7),
      height: view.getUint16(at + 5),
      isProgressive: marker === 0xc2,
    };
  }
  return null;
}

const codeOf = (name: string): number => new DataView(new TextEncoder().encode(name).buffer).getUint32(0);

/** The chunks of a PNG file that change pixels. */
const PNG_CHUNKS: ReadonlySet<number> = new Set(
  'IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP cICP sBIT eXIf'.split(' ').map(codeOf),
);

/**
 * The file without the chunks of a PNG that change no pixel.
 * Throws DataError if the file has more parts than any real one.
 */
export function essentialParts(bytes: Uint8Array, format: ImageFormat): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const walk = WALKS[format];
  const dropped: number[] = [];
  let parts = 0;
  for (const at of partsOf(view, walk)) {
    if (++parts > walk.limit) {
      throw new DataError(`the ${format} file has more than ${walk.limit} frames or other parts (remove it)`);
    }
    if (format === 'PNG' && at + 8 <= bytes.length && !PNG_CHUNKS.has(view.getUint32(at + 4)))
      dropped.push(at);
  }
  return dropped.length === 0 ? bytes : without(bytes, dropped);
}

/** A PNG file without the chunks that start there. */
function without(bytes: Uint8Array, chunks: readonly number[]): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Uint8Array(bytes.length);
  let from = 0;
  let length = 0;
  const keep = (end: number): void => {
    out.set(bytes.subarray(from, end), length);
    length += end - from;
  };
  for (const at of chunks) {
    keep(at);
    from = Math.min(WALKS.PNG.next(view, at), bytes.length);
  }
  keep(bytes.length);
  return out.subarray(0, length);
}
