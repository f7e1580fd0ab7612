/** Pictures that workers train on. */

/** Where a worker gets pictures from: sprites of the site, or pictures of the visitor. Both are cheap to send. */
export type Source =
  | { readonly kind: 'site'; readonly url: string }
  | {
      readonly kind: 'own';
      readonly classes: readonly string[];
      readonly train: Part;
      readonly test: Part;
    };

/** Pixels [N, 32, 32, 3] in a blob, which is sent without a copy, and labels. */
interface Part {
  readonly pixels: Blob;
  readonly labels: readonly number[];
}

export const SIZE = 32;
export const BYTES = SIZE * SIZE * 3;

export interface Pictures {
  readonly classes: readonly string[];
  readonly train: Labeled;
  readonly test: Labeled;
}

export interface Labeled {
  readonly pixels: Uint8Array<ArrayBuffer>;
  readonly labels: Int32Array<ArrayBuffer>;
}

interface Description {
  readonly classes: readonly string[];
  readonly columns: number;
  readonly labels: { readonly train: readonly number[]; readonly test: readonly number[] };
}

/** Reads pictures in a worker. Throws Error for a file that is missing. */
export async function readPictures(source: Source): Promise<Pictures> {
  if (source.kind === 'own') {
    const [train, test] = await Promise.all([ownPart(source.train), ownPart(source.test)]);
    return { classes: source.classes, train, test };
  }
  const { classes, columns, labels } = (await (await get(source.url, 'pictures.json')).json()) as Description;
  const part = async (name: 'train' | 'test'): Promise<Labeled> => {
    const blob = await (await get(source.url, `${name}.webp`)).blob();
    return { pixels: await cut(blob, labels[name].length, columns), labels: Int32Array.from(labels[name]) };
  };
  const [train, test] = await Promise.all([part('train'), part('test')]);
  return { classes, train, test };
}

async function get(folder: string, name: string): Promise<Response> {
  const response = await fetch(new URL(name, folder));
  if (response.ok) return response;
  throw new Error(`${name} cannot be loaded: ${response.status} ${response.statusText}`);
}

const ownPart = async ({ pixels, labels }: Part): Promise<Labeled> => ({
  pixels: new Uint8Array(await pixels.arrayBuffer()),
  labels: Int32Array.from(labels),
});

/** The pictures of a sprite, one after another. */
async function cut(sprite: Blob, count: number, columns: number): Promise<Uint8Array<ArrayBuffer>> {
  const bitmap = await createImageBitmap(sprite, { colorSpaceConversion: 'none' });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d', {
    willReadFrequently: true,
  })!;
  context.drawImage(bitmap, 0, 0);
  const { data, width } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  bitmap.close();
  const pixels = new Uint8Array(count * BYTES);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const [left, top] = [(i % columns) * SIZE, Math.floor(i / columns) * SIZE];
    for (let y = 0; y < SIZE; y++) {
      for (let x = 0; x < SIZE; x++) {
        const from = ((top + y) * width + left + x) * 4;
        pixels[at++] = data[from]!;
        pixels[at++] = data[from + 1]!;
        pixels[at++] = data[from + 2]!;
      }
    }
  }
  return pixels;
}
