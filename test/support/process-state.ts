/** What the operating system says of a process that a test has sent a signal to. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { waitUntil } from './wait.ts';

/**
 * Resolves when the process is stopped in all its threads: SIGSTOP is only under way when `kill` returns. Resolves at once for a
 * process that this machine does not show, such as one in an engine's virtual machine.
 */
export async function waitUntilStopped(pid: number): Promise<void> {
  await waitUntil(`process ${pid} is stopped`, () => threadStates(pid).every((state) => state === 'T'));
}

function threadStates(pid: number): readonly string[] {
  const tasks = `/proc/${pid}/task`;
  if (existsSync('/proc/self')) {
    if (!existsSync(tasks)) return [];
    // The state comes behind the command's name, which may hold anything, also parentheses.
    return readdirSync(tasks).map(
      (task) => /.*\) (\S)/s.exec(readFileSync(`${tasks}/${task}/stat`, 'utf8'))?.[1] ?? '',
    );
  }
  const { stdout } = spawnSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' });
  return stdout.trim() === '' ? [] : [stdout.trim().charAt(0)];
}
