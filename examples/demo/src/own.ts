/** Pictures of the visitor: dropped folders and files, by class. */
import { byId, drawPicture, element } from './dom.ts';
import type { OwnMessage, OwnRequest } from './own.worker.ts';
import { BYTES, SIZE, type Source } from './pictures.ts';

/** Every fifth picture of a class is for the test. */
const HELD_OUT = 5;
const FEWEST = 5;
/** Pictures of a class that are shown. */
const SHOWN = 8;

interface Class {
  name: string;
  readonly pixels: Uint8Array<ArrayBuffer>[];
}

export class OwnPictures {
  readonly #classes: Class[] = [];
  readonly #list = byId('classes');
  readonly #text = byId('own-text');
  readonly #use = byId<HTMLButtonElement>('use-own');
  readonly #files = byId<HTMLInputElement>('files');
  #worker: Worker | null = null;
  #waiting = 0;
  #refused: string[] = [];
  #target: Class | null = null;

  constructor(onUse: (source: Source) => void) {
    const drop = byId('drop');
    const folder = byId<HTMLInputElement>('folder');
    byId('choose').addEventListener('click', () => folder.click());
    byId('add-class').addEventListener('click', () => {
      this.#classOf(`class ${this.#classes.length + 1}`);
      this.#show();
    });
    folder.addEventListener('change', () => {
      this.#read([...folder.files!].map((file) => ({ file, label: folderOf(file.webkitRelativePath) })));
      folder.value = '';
    });
    this.#files.addEventListener('change', () => {
      const target = this.#target;
      if (target !== null) this.#read([...this.#files.files!].map((file) => ({ file, label: target.name })));
      this.#files.value = '';
    });
    this.#acceptDrops(drop, () => null);
    this.#use.addEventListener('click', () => onUse(this.#source()));
  }

  get ready(): boolean {
    return this.#waiting === 0 && this.#problem() === null;
  }

  /** Reads dropped items into the class that `label` gives, or that of their folder. */
  #acceptDrops(host: HTMLElement, label: () => string | null): void {
    host.addEventListener('dragover', (event) => {
      event.preventDefault();
      event.stopPropagation();
      host.classList.add('over');
    });
    host.addEventListener('dragleave', () => host.classList.remove('over'));
    host.addEventListener('drop', (event) => {
      event.preventDefault();
      event.stopPropagation();
      host.classList.remove('over');
      const entries = [...(event.dataTransfer?.items ?? [])].flatMap((item) => item.webkitGetAsEntry() ?? []);
      void filesIn(entries).then((found) =>
        this.#read(found.map(({ file, folder }) => ({ file, label: label() ?? folder }))),
      );
    });
  }

  #read(files: OwnRequest['files']): void {
    const pictures = files.filter(({ file }) => file.type.startsWith('image/'));
    if (pictures.length === 0) {
      this.#text.textContent = 'There are no pictures among these files.';
      return;
    }
    this.#waiting += pictures.length;
    this.#refused = [];
    if (this.#worker === null) {
      this.#worker = new Worker(new URL('./own.worker.ts', import.meta.url), { type: 'module' });
      this.#worker.addEventListener('message', ({ data }: MessageEvent<OwnMessage>) => this.#receive(data));
    }
    const request: OwnRequest = { files: pictures };
    this.#worker.postMessage(request);
    this.#show();
  }

  #receive(message: OwnMessage): void {
    if (message.type === 'done') return this.#show();
    this.#waiting--;
    if (message.type === 'refused') this.#refused.push(`${message.name}: ${message.message}`);
    else this.#classOf(message.label).pixels.push(message.pixels);
    if (this.#waiting % 20 === 0) this.#show();
  }

  #classOf(name: string): Class {
    const known = this.#classes.find((one) => one.name === name);
    if (known !== undefined) return known;
    const made: Class = { name, pixels: [] };
    this.#classes.push(made);
    return made;
  }

  /** Why the pictures are not enough. Null if they are. */
  #problem(): string | null {
    if (this.#classes.length < 2) return 'Two classes are needed.';
    const small = this.#classes.find(({ pixels }) => pixels.length < FEWEST);
    return small === undefined
      ? null
      : `${small.name} needs ${FEWEST} pictures and has ${small.pixels.length}.`;
  }

  #source(): Source {
    const parts = {
      train: [] as [Uint8Array<ArrayBuffer>, number][],
      test: [] as [Uint8Array<ArrayBuffer>, number][],
    };
    this.#classes.forEach(({ pixels }, label) =>
      pixels.forEach((one, i) => parts[i % HELD_OUT === HELD_OUT - 1 ? 'test' : 'train'].push([one, label])),
    );
    const part = (pictures: readonly [Uint8Array<ArrayBuffer>, number][]) => ({
      pixels: new Blob(pictures.map(([pixels]) => pixels)),
      labels: pictures.map(([, label]) => label),
    });
    const classes = this.#classes.map(({ name }) => name);
    return { kind: 'own', classes, train: part(parts.train), test: part(parts.test) };
  }

  #show(): void {
    this.#list.replaceChildren(
      ...this.#classes.map((one) => {
        const name = element('input', { value: one.name, ariaLabel: 'Name of the class' });
        name.addEventListener('change', () => {
          one.name = name.value.trim() || one.name;
          name.value = one.name;
        });
        const add = element('button', { type: 'button', textContent: 'Add files…' });
        add.addEventListener('click', () => {
          this.#target = one;
          this.#files.click();
        });
        const remove = element('button', { type: 'button', className: 'plain', textContent: '×' });
        remove.ariaLabel = `Remove ${one.name}`;
        remove.addEventListener('click', () => {
          this.#classes.splice(this.#classes.indexOf(one), 1);
          this.#show();
        });
        const pictures = one.pixels.slice(0, SHOWN).map((pixels) => {
          const canvas = element('canvas');
          drawPicture(canvas, pixels.subarray(0, BYTES), SIZE);
          return canvas;
        });
        const count = element('span', { className: 'hint', textContent: `${one.pixels.length} pictures` });
        const row = element(
          'li',
          {},
          name,
          count,
          element('span', { className: 'thumbnails' }, ...pictures),
          add,
          remove,
        );
        this.#acceptDrops(row, () => one.name);
        return row;
      }),
    );
    this.#use.disabled = !this.ready;
    const refused =
      this.#refused.length === 0
        ? ''
        : ` Not read: ${this.#refused.slice(0, 3).join('; ')}${this.#refused.length > 3 ? ' …' : ''}`;
    const state = this.#waiting > 0 ? `Reading ${this.#waiting} pictures…` : (this.#problem() ?? '');
    this.#text.textContent = this.#classes.length === 0 && this.#waiting === 0 ? refused : state + refused;
  }
}

/** The folder that a file lies in, which names its class. */
const folderOf = (path: string): string => path.split('/').at(-2) ?? 'pictures';

interface Found {
  readonly file: File;
  readonly folder: string;
}

/** All files of dropped files and folders. */
async function filesIn(entries: readonly FileSystemEntry[], folder = 'pictures'): Promise<readonly Found[]> {
  const found = await Promise.all(
    entries.map(async (entry): Promise<readonly Found[]> => {
      if (entry.isFile) {
        const file = await new Promise<File>((resolve, reject) =>
          (entry as FileSystemFileEntry).file(resolve, reject),
        );
        return [{ file, folder }];
      }
      const reader = (entry as FileSystemDirectoryEntry).createReader();
      const children: FileSystemEntry[] = [];
      // A reader gives at most 100 entries at a time.
      for (;;) {
        const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
          reader.readEntries(resolve, reject),
        );
        if (some.length === 0) return filesIn(children, entry.name);
        children.push(...some);
      }
    }),
  );
  return found.flat();
}
