/** Processes that a measurement starts: each says with one line that it is ready, and none outlives this process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Child {
  readonly process: ChildProcess;
  readonly pid: number;
  /** From spawn to the line that says it is ready, ms. */
  readonly readyMs: number;
  readonly readyLine: string;
}

const living = new Set<ChildProcess>();
/** Those that were told to end. */
const ending = new WeakSet<ChildProcess>();
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  // The default action would end this process without its `exit` event, and leave the children to nobody.
  process.once(signal, () => process.exit(code));
}

/**
 * Starts `node <args>` in the root of the project and resolves with its first line that contains `ready`.
 *
 * @throws Error when the process ends before that; its stderr is ours.
 */
export async function startChild(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  ready: string,
): Promise<Child> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  living.add(child);
  child.once('exit', () => living.delete(child));
  const lines = createInterface({ input: child.stdout });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      reject(new Error(`${args.join(' ')} ended with ${String(code ?? signal)} before it said ${ready}`));
    });
    lines.on('line', (line) => {
      const { pid } = child;
      if (!line.includes(ready) || pid === undefined) return;
      const readyMs = performance.now() - startedAt;
      // What it says from here on nobody reads, but a full pipe would stop it.
      lines.close();
      child.stdout.resume();
      child.once('exit', (code, signal) => {
        if (ending.has(child)) return;
        // Nobody waits for this: it ends the measurement, whose figures would be those of the processes that are left.
        throw new Error(`${args.join(' ')} ended with ${String(code ?? signal)} while it was measured`);
      });
      resolve({ process: child, pid, readyMs, readyLine: line });
    });
  });
}

/** Asks the process to end, and resolves when it has. */
export function endChild(child: Pick<Child, 'process'>): Promise<void> {
  return end(child, 'SIGTERM');
}

/** Ends the process without a warning, in the middle of whatever it does; resolves when it is gone. */
export function killChild(child: Pick<Child, 'process'>): Promise<void> {
  return end(child, 'SIGKILL');
}

async function end({ process: child }: Pick<Child, 'process'>, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  ending.add(child);
  child.kill(signal);
  await ended;
}
