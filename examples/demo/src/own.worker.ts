/** Decodes pictures of the visitor. They do not leave the browser. */
import { readImage } from 'cyclegrad/datasets';
import { SIZE } from './pictures.ts';

export interface OwnRequest {
  readonly files: readonly { readonly file: File; readonly label: string }[];
}
export type OwnMessage =
  | { readonly type: 'picture'; readonly label: string; readonly pixels: Uint8Array<ArrayBuffer> }
  | { readonly type: 'refused'; readonly name: string; readonly message: string }
  | { readonly type: 'done' };

const send = (message: OwnMessage): void => postMessage(message);

async function read({ files }: OwnRequest): Promise<void> {
  for (const { file, label } of files) {
    try {
      const { data } = await readImage(file, { height: SIZE, width: SIZE });
      send({ type: 'picture', label, pixels: Uint8Array.from(data) });
    } catch (error) {
      send({ type: 'refused', name: file.name, message: (error as Error).message });
    }
  }
  send({ type: 'done' });
}

addEventListener('message', ({ data }: MessageEvent<OwnRequest>) => void read(data));
