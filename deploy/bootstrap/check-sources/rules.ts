/** Rules for sources that no other tool here can express. */
import { testKinds } from '../test-kinds.ts';

const mostLines = 400;
const mostLinesOfMain = 40;
const homelessNames = /(^|\/)(utils|common|helpers)(\/|\.ts$)|(^|\/)(index|types)\.ts$/;
const pureLayers = /^shared\/(core|protocol)\//;
const testFile = /\.test\.ts$/;
const placeOfTests = new RegExp(`^test/(${testKinds.map((kind) => kind.name).join('|')})/`);

interface LineRule {
  readonly files: RegExp;
  readonly pattern: RegExp;
  readonly message: string;
}

const lineRules: readonly LineRule[] = [
  {
    files: pureLayers,
    pattern: /\bnew Date\(\s*\)|(?<!new )(?<![.\w])Date\(\s*\)/,
    message: 'reads the clock: take the time as an argument',
  },
  {
    files: pureLayers,
    pattern: /\basync\b(?!['"`-])|\bawait\b/,
    message: 'is asynchronous: this layer is not',
  },
  {
    files: testFile,
    pattern: /\b(test|it|describe|suite)\b[\w.]*\.(skip|only|todo|skipIf|runIf)\b|\b(ctx|context|task)\.skip\(/,
    message: 'leaves tests out: a test that cannot run fails',
  },
  {
    files: testFile,
    pattern: /\bretry:\s*(\{\s*count:\s*)?[1-9]/,
    message: 'tries a test again: a test that fails now and then has found something',
  },
];

/**
 * What is wrong with one file, as lines of `path[:line] what`.
 *
 * @param path relative to the project's folder, with forward slashes.
 */
export function sourceProblems(path: string, text: string): string[] {
  const lines = text.split('\n');
  const problems: string[] = [];
  const length = text.endsWith('\n') ? lines.length - 1 : lines.length;
  if (/^(shared|services)\//.test(path) && length > mostLines) {
    problems.push(`${path} has ${length} lines: more than ${mostLines} is two modules`);
  }
  if (/^services\/[^/]+\/main\.ts$/.test(path) && length > mostLinesOfMain) {
    problems.push(`${path} has ${length} lines: wiring takes at most ${mostLinesOfMain}`);
  }
  if (homelessNames.test(path)) problems.push(`${path} is named for no concept: name what it holds`);
  if (testFile.test(path) && !placeOfTests.test(path)) {
    problems.push(`${path} would never run: tests live in test/{${testKinds.map((kind) => kind.name).join(',')}}/`);
  }
  const rules = lineRules.filter((rule) => rule.files.test(path));
  for (const [index, line] of lines.entries()) {
    const code = line.replace(/^\s*(\*|\/\*\*?).*$|\/\/.*$/, '');
    for (const rule of rules) if (rule.pattern.test(code)) problems.push(`${path}:${index + 1} ${rule.message}`);
  }
  return problems;
}
