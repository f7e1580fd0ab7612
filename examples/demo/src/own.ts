/** Pictures of the visitor: dropped or chosen folders and files, by class. */
import { byId, drawPicture, element } from './dom.ts';
import { chosenFiles, droppedFiles, sortFiles, type Found } from './files.ts';
import type { OwnMessage, OwnRequest } from './own.worker.ts';
import { BYTES, SIZE, type Source } from './pictures.ts';

/** Every fifth picture of a class is for the test. */
const HELD_OUT = 5;
const FEWEST = 5;
/** Pictures of a class that are shown. */
const SHOWN = 8;
/** Names that a message lists. */
const LISTED = 3;

interface Class {
  name: string;
  readonly pixels: Uint8Array<ArrayBuffer>[];
  /** The files that it has, so that a folder that is dropped twice counts once. */
  readonly files: Set<string>;
}

const keyOf = ({ name, size, lastModified }: File): string => `${name}/${size}/${lastModified}`;

const pictures = (count: number): string => `${count} picture${count === 1 ? '' : 's'}`;

const listed = (names: readonly string[]): string =>
  names.slice(0, LISTED).join(', ') + (names.length > LISTED ? ` and ${names.length - LISTED} more` : '');

export class OwnPictures {
  readonly #classes: Class[] = [];
  readonly #list = byId('classes');
  readonly #text = byId('own-text');
  readonly #notes = byId('own-notes');
  readonly #use = byId<HTMLButtonElement>('use-own');
  readonly #files = byId<HTMLInputElement>('files');
  readonly #pending = new Map<number, Class>();
  #worker: Worker | null = null;
  #requests = 0;
  /** Drops whose folders are being listed. */
  #listing = 0;
  /** What was wrong with the last files. */
  #wrong: string[] = [];
  #refused: string[] = [];
  #target: Class | null = null;

  constructor(onUse: (source: Source) => void) {
    const folder = byId<HTMLInputElement>('folder');
    byId('choose').addEventListener('click', () => folder.click());
    byId('add-class').addEventListener('click', () => this.#choose(null));
    folder.addEventListener('change', () => {
      this.#take(chosenFiles(folder.files!), null);
      folder.value = '';
    });
    this.#files.addEventListener('change', () => {
      this.#take(chosenFiles(this.#files.files!), this.#target);
      this.#files.value = '';
    });
    this.#acceptDrops(byId('drop'), null);
    this.#use.addEventListener('click', () => onUse(this.#source()));
    this.#show();
  }

  /** Opens the browser's dialog for files of a class, or of a new one. */
  #choose(target: Class | null): void {
    this.#target = target;
    this.#files.click();
  }

  #acceptDrops(host: HTMLElement, target: Class | null): void {
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
      this.#listing++;
      this.#showText();
      droppedFiles(event.dataTransfer)
        .then(
          (found) => this.#take(found, target),
          (error: Error) => {
            this.#wrong = [error.message];
          },
        )
        .finally(() => {
          this.#listing--;
          this.#show();
        });
    });
  }

  /** Takes files into a class, or each into the class of its folder. Files without a folder make a new class. */
  #take(found: readonly Found[], target: Class | null): void {
    this.#wrong = [];
    this.#refused = [];
    const { pictures: taken, others } = sortFiles(found);
    if (found.length === 0)
      this.#wrong.push('No files came. Drop folders or picture files, or choose a folder.');
    else if (taken.length === 0)
      this.#wrong.push(
        `No pictures are among these files${others.length > 0 ? ` (${listed(others)})` : ''}. JPEG, PNG, WebP, GIF and AVIF can be read.`,
      );
    else if (others.length > 0)
      this.#wrong.push(`Left out, because they are no pictures: ${listed(others)}.`);

    const groups = new Map<Class, File[]>();
    let loose = target;
    let known = 0;
    for (const { file, folder } of taken) {
      const own = target ?? (folder === null ? (loose ??= this.#add(this.#freeName())) : this.#named(folder));
      if (own.files.has(keyOf(file))) known++;
      else {
        own.files.add(keyOf(file));
        groups.set(own, [...(groups.get(own) ?? []), file]);
      }
    }
    if (known > 0) this.#wrong.push(`${pictures(known)} left out, because the class has them already.`);
    for (const [own, files] of groups) this.#read(own, files);
    this.#show();
  }

  #read(own: Class, files: readonly File[]): void {
    if (this.#worker === null) {
      this.#worker = new Worker(new URL('./own.worker.ts', import.meta.url), { type: 'module' });
      this.#worker.addEventListener('message', ({ data }: MessageEvent<OwnMessage>) => this.#receive(data));
    }
    const request: OwnRequest = { id: this.#requests++, files };
    this.#pending.set(request.id, own);
    this.#worker.postMessage(request);
  }

  #receive(message: OwnMessage): void {
    const own = this.#pending.get(message.id)!;
    if (message.type === 'done') {
      this.#pending.delete(message.id);
      if (own.pixels.length === 0) this.#remove(own);
      return this.#show();
    }
    if (message.type === 'refused') this.#refused.push(message.message);
    else own.pixels.push(message.pixels);
    if (own.pixels.length % 20 === 1) this.#show();
  }

  #named(name: string): Class {
    return this.#classes.find((one) => one.name === name) ?? this.#add(name);
  }

  #add(name: string): Class {
    const made: Class = { name, pixels: [], files: new Set() };
    this.#classes.push(made);
    return made;
  }

  #remove(own: Class): void {
    const at = this.#classes.indexOf(own);
    if (at >= 0) this.#classes.splice(at, 1);
  }

  #freeName(): string {
    for (let number = 1; ; number++) {
      const name = `class ${number}`;
      if (!this.#classes.some((one) => one.name === name)) return name;
    }
  }

  /** Why the pictures are not enough. Null if they are. */
  #problem(): string | null {
    const names = this.#classes.map(({ name }) => name);
    if (names.length === 0) return 'Nothing here yet.';
    if (names.length === 1) return `Only '${names[0]}' so far. Add another class to tell it from.`;
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) return `Two classes have the name '${twice}'. Rename or remove one of them.`;
    const small = this.#classes.find(({ pixels }) => pixels.length < FEWEST);
    return small === undefined
      ? null
      : `'${small.name}' has ${pictures(small.pixels.length)} and needs at least ${FEWEST}.`;
  }

  #source(): Source {
    const parts = {
      train: [] as [Uint8Array<ArrayBuffer>, number][],
      test: [] as [Uint8Array<ArrayBuffer>, number][],
    };
    this.#classes.forEach(({ pixels }, label) =>
      pixels.forEach((one, i) => parts[i % HELD_OUT === HELD_OUT - 1 ? 'test' : 'train'].push([one, label])),
    );
    const part = (chosen: readonly [Uint8Array<ArrayBuffer>, number][]) => ({
      pixels: new Blob(chosen.map(([pixels]) => pixels)),
      labels: chosen.map(([, label]) => label),
    });
    const classes = this.#classes.map(({ name }) => name);
    return { kind: 'own', classes, train: part(parts.train), test: part(parts.test) };
  }

  #show(): void {
    this.#list.replaceChildren(...this.#classes.map((one) => this.#row(one)));
    this.#showText();
  }

  #showText(): void {
    const reading = this.#pending.size + this.#listing > 0;
    byId('own-pictures').setAttribute('aria-busy', String(reading));
    const problem = this.#problem();
    this.#use.disabled = reading || problem !== null;
    const total = this.#classes.reduce((sum, { pixels }) => sum + pixels.length, 0);
    this.#text.textContent = reading
      ? `Reading: ${pictures(total)} so far…`
      : (problem ?? `${pictures(total)} in ${this.#classes.length} classes.`);
    const refused = this.#refused.length === 0 ? [] : [`Not read: ${listed(this.#refused)}.`];
    this.#notes.textContent = [...this.#wrong, ...refused].join(' ');
    this.#notes.hidden = this.#notes.textContent === '';
  }

  #row(one: Class): HTMLElement {
    const name = element('input', { value: one.name, ariaLabel: 'Name of the class' });
    name.addEventListener('change', () => {
      one.name = name.value.trim() || one.name;
      name.value = one.name;
      // The rows stay, because the focus moves on to one of their buttons.
      this.#showText();
    });
    const add = element('button', { type: 'button', textContent: 'Add files…' });
    add.ariaLabel = `Add files to ${one.name}`;
    add.addEventListener('click', () => this.#choose(one));
    const remove = element('button', { type: 'button', className: 'plain', textContent: '×' });
    remove.ariaLabel = `Remove ${one.name}`;
    remove.addEventListener('click', () => {
      this.#remove(one);
      this.#show();
    });
    const thumbnails = one.pixels.slice(0, SHOWN).map((pixels) => {
      const canvas = element('canvas');
      drawPicture(canvas, pixels.subarray(0, BYTES), SIZE);
      return canvas;
    });
    const count = element('span', { className: 'hint', textContent: pictures(one.pixels.length) });
    const strip = element('span', { className: 'thumbnails' }, ...thumbnails);
    const row = element('li', {}, name, count, strip, add, remove);
    this.#acceptDrops(row, one);
    return row;
  }
}
