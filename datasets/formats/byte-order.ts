/** A copy of numbers of `size` bytes each with the bytes of each reversed: from big-endian to little-endian. */
export function swapped(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes); // not slice(), which shares memory for a Buffer
  for (let first = 0; first + size <= out.length; first += size) {
    for (let low = first, high = first + size - 1; low < high; low++, high--) {
      const byte = out[low];
      out[low] = out[high];
      out[high] = byte;
    }
  }
  return out;
}
