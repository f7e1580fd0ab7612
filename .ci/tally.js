// Prints `N passed, N failed[, N skipped]` from the files that vitest's JSON reporter wrote.
import { readFileSync } from 'node:fs';

/**
 * @typedef {{ status: string, assertionResults: { status: string }[] }} FileResult
 * @typedef {{ numPassedTests?: number, numFailedTests?: number, numPendingTests?: number, numTodoTests?: number, testResults?: FileResult[] }} Result
 */

/**
 * @param {string} path
 * @returns {Result}
 */
function read(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    process.stdout.write('the tests left no result\n');
    return {};
  }
}

let passed = 0;
let failed = 0;
let skipped = 0;
for (const path of process.argv.slice(2)) {
  const result = read(path);
  const { testResults = [] } = result;
  // A file that cannot be loaded has no tests that could fail; it counts as one.
  const broken = testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
  );
  passed += result.numPassedTests ?? 0;
  failed += (result.numFailedTests ?? 0) + broken.length;
  skipped += (result.numPendingTests ?? 0) + (result.numTodoTests ?? 0);
}
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
