/** What obtaining and reading data reports. Terminal-agnostic: whoever listens draws the bar. */

export type DataEvent =
  | {
      readonly phase: 'download' | 'unpack' | 'convert' | 'verify' | 'read';
      /** Where the data comes from, in words. */
      readonly source: string;
      /** Bytes, or files for `convert` and `read`. */
      readonly done: number;
      /** In the unit of `done`; null where the source does not tell. */
      readonly total: number | null;
    }
  | { readonly phase: 'notice'; readonly message: string };

export type OnData = (event: DataEvent) => void;
