/** The files in a zip archive. */
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { DataError } from '../../engine/errors.ts';

export interface ZipEntry {
  readonly name: string;
  readonly content: Uint8Array;
}

/** Throws DataError, which begins with `where`, for an archive that is damaged, encrypted, or has a name twice. */
export async function unzip(where: string, bytes: Uint8Array): Promise<readonly ZipEntry[]> {
  const { fromBufferPromise } = await import('yauzl'); // not loaded unless an archive is read
  const entries = new Map<string, ZipEntry>();
  try {
    const archive = await fromBufferPromise(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), {
      lazyEntries: true,
    });
    for await (const entry of archive.eachEntry()) {
      const name = entry.fileName;
      if (entries.has(name)) throw new Error(`it has '${name}' twice`);
      const local = await archive.readLocalFileHeaderPromise(entry);
      if (!local.fileName.equals(entry.fileNameRaw)) {
        throw new Error(`'${name}' is '${local.fileName.toString()}' at its place in the archive`);
      }
      const content = await buffer(await archive.openReadStreamPromise(entry)).catch((cause: Error) => {
        throw new Error(`'${name}' cannot be decompressed: ${cause.message}`, { cause });
      });
      // yauzl checks sizes only.
      if (crc32(content) !== entry.crc32) {
        throw new Error(`'${name}' has another checksum than the directory says`);
      }
      entries.set(name, { name, content });
    }
  } catch (cause) {
    throw new DataError(
      `${where}: ${(cause as Error).message} (the archive is damaged, or not a file of np.savez)`,
      { cause },
    );
  }
  return [...entries.values()];
}

/** The CRC-32 from the trailer of gzip. zlib.crc32 came with Node 20.15. */
function crc32(bytes: Uint8Array): number {
  const compressed = gzipSync(bytes, { level: 0 });
  return compressed.readUInt32LE(compressed.length - 8);
}
