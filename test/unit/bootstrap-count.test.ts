import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** Runs the given test files with the project's own reporter. */
function runTests(
  files: Readonly<Record<string, string>>,
  ...args: string[]
): { lines: string[]; exitCode: number | null } {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-count-'));
  folders.push(folder);
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), `import { beforeAll, describe, expect, test } from 'vitest';\n${text}`);
  }
  const reporter = join(root, 'test', 'support', 'count-reporter.ts');
  const run = spawnSync(
    process.execPath,
    [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--reporter', reporter, ...args],
    { cwd: folder, encoding: 'utf8', env: { ...process.env, VITEST: undefined } },
  );
  return { lines: run.stdout.trim().split('\n'), exitCode: run.status };
}

const passing = "test('passes', () => { expect(1).toBe(1); });\n";

test('a run in which everything passed exits 0 and counts', () => {
  const { lines, exitCode } = runTests({ 'a.test.ts': passing, 'b.test.ts': passing });
  expect(lines.at(-1)).toBe('2 passed, 0 failed');
  expect(exitCode).toBe(0);
});

test('failed tests, files that do not load, failed hooks and stray errors all count', () => {
  const { lines, exitCode } = runTests({
    'passes.test.ts': passing,
    'fails.test.ts': "test('fails', () => { expect(1).toBe(2); });\n",
    'does-not-load.test.ts': "throw new Error('at import');\n",
    'stray.test.ts': `test('stray', () => { void Promise.reject(new Error('nobody waits')); expect(1).toBe(1); });\n`,
    'hook.test.ts':
      "describe('suite', () => { beforeAll(() => { throw new Error('hook'); }); test('behind', () => {}); });\n",
  });
  // The test behind the hook did not run either.
  expect(lines.at(-1)).toBe('2 passed, 5 failed');
  expect(exitCode).toBe(1);
});

test('tests that are left out or tried again fail the run and are named', () => {
  // Named apart from their use, so that this file keeps the rule that it is about.
  const [skip, todo, retry] = ['skip', 'todo', 'retry'];
  const { lines, exitCode } = runTests({
    'a.test.ts': [
      passing,
      `test.${skip}('skipped', () => {});`,
      `test.${todo}('later');`,
      `test('flaky', { ${retry}: 2 }, () => {});`,
    ].join('\n'),
  });
  expect(lines.slice(-4).toSorted()).toEqual([
    '1 passed, 3 failed',
    'Not run: a.test.ts > later',
    'Not run: a.test.ts > skipped',
    'Would be tried again: a.test.ts > flaky',
  ]);
  expect(exitCode).toBe(1);
});

test('a run without a test fails even where the test runner would let it pass', () => {
  const { lines, exitCode } = runTests({}, '--passWithNoTests');
  expect(lines.slice(-2)).toEqual(['No test ran, which proves nothing.', '0 passed, 1 failed']);
  expect(exitCode).toBe(1);
});

test('tests asked for by name leave the others out', () => {
  const { lines, exitCode } = runTests({ 'a.test.ts': `${passing}test('other', () => {});\n` }, '-t', 'passes');
  expect(lines.at(-1)).toBe('1 passed, 0 failed');
  expect(exitCode).toBe(0);
});
