import { describe, expect, test } from 'vitest';
import { sourceProblems } from '../../deploy/bootstrap/check-sources/rules.ts';

const lines = (count: number): string => 'x;\n'.repeat(count);

test.each([
  ['shared/core/a.ts', lines(400), []],
  ['shared/core/a.ts', lines(401), ['shared/core/a.ts has 401 lines: more than 400 is two modules']],
  ['test/unit/a.test.ts', lines(401), []],
  ['services/echo/main.ts', lines(40), []],
  ['services/echo/main.ts', lines(41), ['services/echo/main.ts has 41 lines: wiring takes at most 40']],
])('length of %s', (path, text, problems) => {
  expect(sourceProblems(path, text)).toEqual(problems);
});

test.each([
  'shared/core/utils.ts',
  'shared/utils/x.ts',
  'services/echo/types.ts',
  'shared/core/index.ts',
  'test/helpers/x.ts',
])('%s is named for no concept', (path) => {
  expect(sourceProblems(path, '')).toEqual([expect.stringContaining('named for no concept')]);
});

describe('pure layers', () => {
  test.each([
    'const at = new Date();',
    'const at = Date();',
    'async function f() {}',
    'await x;',
    'const f = async () => 1;',
  ])('%s is refused', (code) => {
    expect(sourceProblems('shared/core/a.ts', `${code}\n`)).toHaveLength(1);
    expect(sourceProblems('shared/protocol/a.ts', `${code}\n`)).toHaveLength(1);
    expect(sourceProblems('shared/runtime/a.ts', `${code}\n`)).toEqual([]);
  });

  test.each(['new Date(at).toISOString();', 'Date.parse(text);', '// await nothing', ' * is async', 'toDate();'])(
    '%s is fine',
    (code) => {
      expect(sourceProblems('shared/core/a.ts', `${code}\n`)).toEqual([]);
    },
  );
});

describe('tests', () => {
  const path = 'test/unit/a.test.ts';

  // In parts, so that these lines do not break the rule themselves.
  test.each([
    [['test.', 'skip', "('a')"]],
    [['describe.', 'only', "('a')"]],
    [['it.', 'todo', "('a')"]],
    [['test.concurrent.', 'skip', "('a')"]],
    [['test.', 'skipIf', "(x)('a')"]],
    [['describe.', 'runIf', "(x)('a')"]],
    [['ctx.', 'skip', '()']],
    [["test('a', { ", 'retry', ': 2 }, f)']],
    [["test('a', { ", 'retry', ': { count: 3 } }, f)']],
  ])('%j is refused', (parts) => {
    expect(sourceProblems(path, `${parts.join('')};\n`)).toHaveLength(1);
  });

  test.each(['retry: 0', 'policy.retry', 'iterator.skip(2)', "test('tests only one')"])('%s is fine', (code) => {
    expect(sourceProblems(path, `${code};\n`)).toEqual([]);
  });

  test('one that no run would find is refused', () => {
    for (const lost of ['test/a.test.ts', 'test/chaos/a.test.ts', 'shared/core/a.test.ts', 'services/echo/a.test.ts']) {
      expect(sourceProblems(lost, '')).toEqual([expect.stringContaining('would never run')]);
    }
    expect(sourceProblems('test/sim/deep/a.test.ts', '')).toEqual([]);
  });
});
