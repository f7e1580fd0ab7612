/** Files that the visitor drops or chooses, with the folder that names the class of each. */

export interface Found {
  readonly file: File;
  /** The folder that the file lies in. Null for a file that came without a folder. */
  readonly folder: string | null;
}

/** What was found among dropped or chosen files. */
export interface Sorted {
  readonly pictures: readonly Found[];
  /** The names of the files that are no pictures. */
  readonly others: readonly string[];
}

/** Files of a folder input. */
export const chosenFiles = (list: FileList): readonly Found[] =>
  [...list].map((file) => ({ file, folder: file.webkitRelativePath.split('/').at(-2) ?? null }));

/**
 * Files of a drop, with those in folders and below. Call it while the event is handled: the browser clears the list after that. Throws
 * Error for a folder that cannot be read.
 */
export function droppedFiles(transfer: DataTransfer | null): Promise<readonly Found[]> {
  const entries = [...(transfer?.items ?? [])].flatMap((item) => item.webkitGetAsEntry() ?? []);
  return filesIn(entries, null);
}

async function filesIn(
  entries: readonly FileSystemEntry[],
  folder: string | null,
): Promise<readonly Found[]> {
  const found = await Promise.all(
    entries.map(async (entry): Promise<readonly Found[]> => {
      try {
        return entry.isFile
          ? [{ file: await fileOf(entry as FileSystemFileEntry), folder }]
          : await filesIn(await childrenOf(entry as FileSystemDirectoryEntry), entry.name);
      } catch (error) {
        if (!(error instanceof DOMException)) throw error;
        throw new Error(`${entry.fullPath.slice(1)} cannot be read: ${error.message}`, { cause: error });
      }
    }),
  );
  return found.flat();
}

const fileOf = (entry: FileSystemFileEntry): Promise<File> =>
  new Promise((resolve, reject) => entry.file(resolve, reject));

async function childrenOf(entry: FileSystemDirectoryEntry): Promise<readonly FileSystemEntry[]> {
  const reader = entry.createReader();
  const children: FileSystemEntry[] = [];
  // A reader gives at most 100 entries at a time.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return children;
    children.push(...some);
  }
}

/** Files that systems put into folders. */
const isHidden = (name: string): boolean => /^\.|^(Thumbs\.db|desktop\.ini)$/i.test(name);

/** Separates pictures from other files. Browsers know the type of a file by its extension. */
export function sortFiles(found: readonly Found[]): Sorted {
  const visible = found.filter(({ file }) => !isHidden(file.name));
  return {
    pictures: visible.filter(({ file }) => file.type.startsWith('image/')),
    others: visible.filter(({ file }) => !file.type.startsWith('image/')).map(({ file }) => file.name),
  };
}
