/** Code from text, which a content security policy without 'unsafe-eval' forbids. The CPU backend needs none. */

/** Throws the error of `make` if this environment forbids code from text. */
export function checkEval(make: (cause: unknown) => Error): void {
  try {
    // oxlint-disable-next-line no-new-func, typescript/no-implied-eval -- this asks the environment
    void new Function('');
  } catch (cause) {
    throw make(cause);
  }
}
