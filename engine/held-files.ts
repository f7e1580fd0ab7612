/** Files that another program has open. */

/** The errors of Windows for a file that is open elsewhere, or that will be deleted when it is closed. */
const HELD = ['EACCES', 'EBUSY', 'EPERM'];

/** Milliseconds before each further attempt: 1.5 s in all. Virus scanners and search indexes hold a new file for some of them. */
const WAITS = [10, 20, 40, 80, 150, 300, 400, 500];

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Renames or deletes a file. Windows refuses it while another program has the file open, other systems do not, so it is tried again
 * there. Rejects with the error of the last attempt.
 */
export async function whileHeld<T>(
  act: () => Promise<T>,
  platform: string = process.platform,
  wait: (ms: number) => Promise<void> = sleep,
): Promise<T> {
  for (const ms of platform === 'win32' ? WAITS : []) {
    try {
      return await act();
    } catch (error) {
      if (!HELD.includes(String((error as NodeJS.ErrnoException).code))) throw error;
      await wait(ms);
    }
  }
  return act();
}
