/** Cyclic redundancy checks of 32 bits. */

/** The table of a polynomial, whose lowest bit has the highest power. */
function tableOf(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (polynomial & -(crc & 1));
    return crc;
  });
}

const over =
  (table: Uint32Array) =>
  (bytes: Uint8Array): number => {
    let crc = -1;
    for (const byte of bytes) crc = (crc >>> 8) ^ table[(crc ^ byte) & 255];
    return ~crc >>> 0;
  };

/** The checksum of PNG and zip files. */
export const crc32 = over(tableOf(0xedb88320));

/** Castagnoli's checksum, of iSCSI and TFRecord files. */
export const crc32c = over(tableOf(0x82f63b78));
