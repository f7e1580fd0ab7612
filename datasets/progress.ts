/** Progress events of downloading and reading data. */

/** Progress of a phase, or a notice. */
export type DataEvent =
  | {
      readonly phase: 'download' | 'unpack' | 'convert' | 'verify' | 'read';
      /** A URL, a package or a path. */
      readonly source: string;
      /** Bytes. For `convert` and `read`, files. */
      readonly done: number;
      /** In the unit of `done`. Null if it is unknown. */
      readonly total: number | null;
    }
  | { readonly phase: 'notice'; readonly message: string };

/** Receives progress events. */
export type OnData = (event: DataEvent) => void;
