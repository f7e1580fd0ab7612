// Prints `N passed, N failed[, N skipped]` from the file that vitest's JSON reporter wrote.
import { readFileSync } from 'node:fs';

/**
 * @typedef {{ status: string, assertionResults: { status: string }[] }} FileResult
 * @type {{ numPassedTests?: number, numFailedTests?: number, numPendingTests?: number, numTodoTests?: number, testResults?: FileResult[] }}
 */
let result = {};
try {
  result = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
} catch {
  process.stdout.write('the tests left no result\n');
}
const {
  numPassedTests = 0,
  numFailedTests = 0,
  numPendingTests = 0,
  numTodoTests = 0,
  testResults = [],
} = result;
// A file that cannot be loaded has no tests that could fail; it counts as one.
const broken = testResults.filter(
  (file) => file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
).length;
const skipped = numPendingTests + numTodoTests;
process.stdout.write(
  `${numPassedTests} passed, ${numFailedTests + broken} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`,
);
