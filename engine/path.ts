/** The path of the current layer. Operations store it, and messages of shape errors start with it. */
let current = '';

/** For instance 'block1.conv1'; '' outside layers. */
export const currentPath = (): string => current;

/** Calls `build` with `path` as the current path. */
export function withPath<T>(path: string, build: () => T): T {
  const outer = current;
  current = path;
  try {
    return build();
  } finally {
    current = outer;
  }
}
