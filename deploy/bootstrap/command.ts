/** Commands of the machine, run to their end, with their failure as one line. */
import { spawnSync } from 'node:child_process';

export interface CommandOptions {
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Standard output of a command that exits 0 in time.
 *
 * @throws Error of one line: which command, and its own last complaint.
 */
export function run(command: string, args: readonly string[], options: CommandOptions): string {
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: options.timeoutMs,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  if (result.error) throw new Error(`${command} ${args[0] ?? ''}: ${failure(result.error, options.timeoutMs)}`);
  if (result.status !== 0) throw new Error(`${command} ${args[0] ?? ''}: ${complaint(result.stderr)}`);
  return result.stdout;
}

/** Whether the command can be started at all. */
export function exists(command: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', command], { stdio: 'ignore' }).status === 0;
}

function failure(error: Error, timeoutMs: number): string {
  return 'code' in error && error.code === 'ETIMEDOUT' ? `no answer within ${timeoutMs / 1000} s` : error.message;
}

function complaint(stderr: string): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  return lines.findLast((line) => /^(E:|Error|error)/.test(line)) ?? lines.findLast(Boolean) ?? 'failed without a word';
}
