// Lists at the end of a call: a length, and what it counts.

/** Structs, one after the other. */
// @ts-ignore: decorator
@unmanaged export class List<T> {
  length: i32;

  @inline @operator("[]") at(i: i32): T {
    return changetype<T>(changetype<usize>(this) + 4 + <usize>i * offsetof<T>());
  }

  /** The address behind the last. */
  @inline get end(): usize {
    return changetype<usize>(this) + 4 + <usize>this.length * offsetof<T>();
  }
}

/** Encoded calls; the length counts their words. */
// @ts-ignore: decorator
@unmanaged export class Calls {
  length: i32;

  /** The address of the first word. */
  @inline get start(): usize {
    return changetype<usize>(this) + 4;
  }

  @inline get end(): usize {
    return this.start + (<usize>this.length << 2);
  }
}
