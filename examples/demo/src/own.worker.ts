/** Decodes pictures of the visitor. They do not leave the browser. */
import { readImage } from 'cyclegrad/datasets';
import { SIZE } from './pictures.ts';

export interface OwnRequest {
  readonly id: number;
  readonly files: readonly File[];
}
export type OwnMessage = { readonly id: number } & (
  | { readonly type: 'picture'; readonly pixels: Uint8Array<ArrayBuffer> }
  | { readonly type: 'refused'; readonly name: string; readonly message: string }
  | { readonly type: 'done' }
);

const send = (message: OwnMessage): void => postMessage(message);

async function read({ id, files }: OwnRequest): Promise<void> {
  for (const file of files) {
    try {
      const { data } = await readImage(file, { height: SIZE, width: SIZE });
      send({ id, type: 'picture', pixels: Uint8Array.from(data) });
    } catch (error) {
      send({ id, type: 'refused', name: file.name, message: (error as Error).message });
    }
  }
  send({ id, type: 'done' });
}

addEventListener('message', ({ data }: MessageEvent<OwnRequest>) => void read(data));
