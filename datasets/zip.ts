/** The files in a zip archive, as NumPy writes them: stored or deflated, without encryption. Every file is checked by its CRC-32. */
import { inflateRawSync } from 'node:zlib';
import { DataError } from '../engine/errors.ts';

export interface ZipEntry {
  readonly name: string;
  readonly content: Uint8Array;
}

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22;
const CENTRAL_BYTES = 46;
const LOCAL_BYTES = 30;
const MAX_COMMENT = 65_535;
/** Deflate cannot compress further. */
const MAX_RATIO = 1032;
/** A value that stands for a larger one elsewhere, in archives above 4 GiB. */
const ZIP64 = 0xffffffff;

/** Throws DataError, which begins with `where`, for an archive that is damaged or has features that NumPy does not use. */
export function unzip(where: string, bytes: Uint8Array): readonly ZipEntry[] {
  const fail = (what: string): never => {
    throw new DataError(`${where}: ${what} (the archive is damaged, or not a file of np.savez)`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = findEnd(view);
  if (end < 0) return fail('not a zip archive: it has no directory at its end');
  const count = view.getUint16(end + 10, true);
  const names = new Set<string>();
  const entries: ZipEntry[] = [];
  let at = view.getUint32(end + 16, true);
  for (let i = 0; i < count; i++) {
    if (at + CENTRAL_BYTES > end || view.getUint32(at, true) !== CENTRAL)
      return fail(`entry ${i} of the directory is missing`);
    const flags = view.getUint16(at + 8, true);
    const method = view.getUint16(at + 10, true);
    const crc = view.getUint32(at + 16, true);
    const [packed, size] = [view.getUint32(at + 20, true), view.getUint32(at + 24, true)];
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    const local = view.getUint32(at + 42, true);
    const name = new TextDecoder().decode(
      bytes.subarray(at + CENTRAL_BYTES, at + CENTRAL_BYTES + nameLength),
    );
    at += CENTRAL_BYTES + nameLength + extra + comment;
    if (names.has(name)) return fail(`it has '${name}' twice`);
    names.add(name);
    if ((flags & 1) !== 0) return fail(`'${name}' is encrypted`);
    if ([packed, size, local].includes(ZIP64))
      return fail(`'${name}' is larger than 4 GiB, which is not supported`);
    if (local + LOCAL_BYTES > bytes.length || view.getUint32(local, true) !== LOCAL)
      return fail(`'${name}' is missing`);
    const start = local + LOCAL_BYTES + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    if (start + packed > bytes.length) return fail(`'${name}' is truncated`);
    const content = unpacked(bytes.subarray(start, start + packed), method, size);
    if (typeof content === 'string') return fail(`'${name}' ${content}`);
    if (crc32(content) !== crc) return fail(`'${name}' has another checksum than the directory says`);
    entries.push({ name, content });
  }
  return entries;
}

/** The position of the record at the end, before which a comment may be. -1 if there is none. */
function findEnd(view: DataView): number {
  const last = view.byteLength - END_BYTES;
  for (let at = last; at >= Math.max(0, last - MAX_COMMENT); at--) {
    if (view.getUint32(at, true) === END && view.getUint16(at + 20, true) === last - at) return at;
  }
  return -1;
}

/** The content of a file, or what is wrong with it. */
function unpacked(packed: Uint8Array, method: number, size: number): Uint8Array | string {
  if (method === 0) return packed.length === size ? packed : `has ${packed.length} bytes, expected ${size}`;
  if (method !== 8) return `is compressed by method ${method}, expected 0 or 8`;
  if (size > packed.length * MAX_RATIO) return `cannot have ${size} bytes when decompressed`;
  try {
    const content = inflateRawSync(packed, { maxOutputLength: Math.max(1, size + 1) });
    return content.length === size
      ? content
      : `has ${content.length} bytes when decompressed, expected ${size}`;
  } catch (error) {
    return `cannot be decompressed: ${(error as Error).message}`;
  }
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** zlib.crc32 came with Node 20.15. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 255];
  return (crc ^ 0xffffffff) >>> 0;
}
