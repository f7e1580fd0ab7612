// What publint, are-the-types-wrong and a limit on sizes say about the packed package.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folder, isInstalled, npx, packaged } from './packaged.ts';

describe.skipIf(folder === '')(`${packaged('the packed package')}`, () => {
  const archive = (): string => {
    const name = readdirSync(folder).find((entry) => /^cyclegrad-.*\.tgz$/.test(entry));
    if (name === undefined) throw new Error(`there is no cyclegrad-*.tgz in ${folder}`);
    return join(folder, name);
  };

  it.skipIf(!isInstalled('publint'))('has no fault that publint finds', { timeout: 60_000 }, async () => {
    expect(await npx('publint', archive(), '--strict')).toContain('All good!');
  });

  // The package is ESM only: `require` needs a version of Node that loads ES modules, as README.md says.
  it.skipIf(!isInstalled('@arethetypeswrong/cli'))(
    'has types for every entry',
    { timeout: 60_000 },
    async () => {
      const report = npx('attw', archive(), '--profile', 'esm-only', '--format', 'ascii');
      await expect(report).resolves.toContain('"cyclegrad/datasets"');
    },
  );

  it('has less than 3 MB, compressed', () => {
    expect(statSync(archive()).size).toBeLessThan(3_000_000);
  });
});
