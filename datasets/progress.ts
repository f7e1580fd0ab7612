/** Progress events of obtaining and reading data. They are independent of the terminal. */

export type DataEvent =
  | {
      readonly phase: 'download' | 'unpack' | 'convert' | 'verify' | 'read';
      /** Where the data comes from, as text. */
      readonly source: string;
      /** Bytes. For `convert` and `read`, files. */
      readonly done: number;
      /** In the unit of `done`. Null where it is unknown. */
      readonly total: number | null;
    }
  | { readonly phase: 'notice'; readonly message: string };

export type OnData = (event: DataEvent) => void;
