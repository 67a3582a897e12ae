/** Log lines wait for each other a moment; none of them is lost for it, and their order stands. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
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
    for (const line of LINES) log.write(line);
    log.flushSync();
    expect(readFileSync(path, 'utf8')).toBe(LINES.join(''));
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

  it('that nobody reads any more are no error, and keep no process from its end', async ({ onTestFinished }) => {
    const code = `import { logLines } from ${JSON.stringify(SOURCE)};
      const log = logLines(1);
      process.stdin.on('end', () => {
        log.write('for nobody\\n');
        log.flushSync();
        log.write('for nobody\\n');
        setTimeout(() => process.exit(3), 50);
      }).resume();`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    child.stdout.destroy();
    child.stdin.end();
    expect(await once(child, 'exit')).toEqual([3, null]);
  });
});
