/** Decodes in a browser the images that lie beside the page, and posts their pixels. */
import { readImage } from '../../datasets/index.ts';

/** The pixels of each image, or the message of its error. */
export type ImageResults = Readonly<Record<string, readonly number[] | string>>;

export interface ImageRequest {
  readonly name: string;
  readonly height: number;
  readonly width: number;
}

async function measure(): Promise<ImageResults> {
  const requests = (await (await fetch('/images.json')).json()) as readonly ImageRequest[];
  const results: Record<string, readonly number[] | string> = {};
  const attempt = async (label: string, read: () => ReturnType<typeof readImage>): Promise<void> => {
    results[label] = await read().then(
      ({ data }) => [...data],
      (error: unknown) => String(error),
    );
  };
  for (const { name, height, width } of requests) {
    const bytes = await (await fetch(`/${name}`)).arrayBuffer();
    await attempt(name, () => readImage(new Uint8Array(bytes), { height, width }));
    await attempt(`${name} as a File`, () => readImage(new File([bytes], name), { height, width }));
  }
  const [{ name, height, width }] = requests;
  const bytes = await (await fetch(`/${name}`)).arrayBuffer();
  await attempt('maxPixels', () => readImage(bytes, { height, width, maxPixels: 40 }));
  await attempt('a path', () => readImage('x.png', { height, width }));
  return results;
}

void measure().then(
  (results) => fetch('/results', { method: 'POST', body: JSON.stringify(results) }),
  (error: unknown) => fetch('/failure', { method: 'POST', body: String(error) }),
);
