/** Log lines wait for each other a moment; none of them is lost for it, and their order stands. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { logLines } from '../../shared/runtime/log-lines.ts';
import { waitUntil } from '../support/wait.ts';

const SOURCE = fileURLToPath(new URL('../../shared/runtime/log-lines.ts', import.meta.url));
const LINES = Array.from({ length: 1_000 }, (_, index) => `line ${index}\n`);

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-lines-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('log lines', () => {
  it('arrive in order without being asked for, also those that come later', async () => {
    const path = join(folder, 'log');
    const log = logLines(path);
    log.write('first\n');
    await waitUntil('the first line is there', () => readFileSync(path, 'utf8') === 'first\n');
    for (const line of LINES) log.write(line);
    await waitUntil('all are there', () => readFileSync(path, 'utf8') === `first\n${LINES.join('')}`);
  });

  it('are there at once when they are asked for', async () => {
    const path = join(folder, 'log');
    const log = logLines(path);
    await waitUntil('the file is open', () => {
      log.write('open\n');
      return readFileSync(path, { encoding: 'utf8', flag: 'a+' }) !== '';
    });
    const before = readFileSync(path, 'utf8');
    for (const line of LINES) log.write(line);
    log.flushSync();
    expect(readFileSync(path, 'utf8').startsWith(before)).toBe(true);
    expect(readFileSync(path, 'utf8').endsWith(LINES.join(''))).toBe(true);
  });

  it.each([
    ['exits', 'process.exit(3)', 3],
    ['throws', 'throw new Error("at the end")', 1],
    ['has nothing left to do', '', 0],
  ])('are written by a process that %s', (_how, end, status) => {
    const code = `import { logLines } from ${JSON.stringify(SOURCE)};
      const log = logLines(1);
      for (let index = 0; index < ${LINES.length}; index += 1) log.write(\`line \${index}\\n\`);
      ${end}`;
    const child = spawnSync(process.execPath, ['--input-type=module', '--eval', code], { encoding: 'utf8' });
    expect(child.status).toBe(status);
    expect(child.stdout).toBe(LINES.join(''));
  });
});
