/** Child processes of the demo: each writes to a log file of its own, is waited for by its readiness, and is stopped in good order. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

export interface Command {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export interface Running {
  readonly name: string;
  readonly logFile: string;
  readonly pid: number;
  /** How it ended, in words; undefined while it runs. */
  end(): string | undefined;
  /** SIGTERM, and SIGKILL for a process that does not mind it. True when it went by itself. */
  stop(): Promise<boolean>;
  kill(): void;
}

const POLL_MS = 20;
const STOP_MS = 10_000;
/** Lines of a log that are shown when its process fails. */
const LAST_LINES = 5;

function start({ name, file, args, env }: Command, logFolder: string): Running {
  const logFile = join(logFolder, `${name}.log`);
  const log = openSync(logFile, 'w');
  // In a process group of its own: Ctrl-C reaches the demo alone, which then ends the others in the right order.
  const child = spawn(file, args, { env, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  let failure: Error | undefined;
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', (error) => {
      failure = error;
      resolve();
    });
  });
  return {
    name,
    logFile,
    pid: child.pid ?? 0,
    end: () => (failure === undefined ? endOf(child) : `could not be started (${failure.message})`),
    kill: () => child.kill('SIGKILL'),
    async stop() {
      child.kill('SIGTERM');
      const limit = new AbortController();
      const late = pause(STOP_MS, true, { signal: limit.signal }).catch(() => false);
      const isLate = await Promise.race([ended.then(() => false), late]);
      limit.abort();
      if (isLate) child.kill('SIGKILL');
      await ended;
      return !isLate;
    },
  };
}

function endOf({ exitCode, signalCode }: ChildProcess): string | undefined {
  if (signalCode !== null) return `was ended by ${signalCode}`;
  return exitCode === null ? undefined : `ended with exit code ${exitCode}`;
}

/** All processes of one run. */
export interface Fleet {
  /** A later wave is stopped before an earlier one. */
  start(wave: number, command: Command): Running;
  /** Something to be done once every process has ended. */
  afterwards(clean: () => void): void;
  /** Stops the waves, the last one first, and cleans up. Resolves to the names of those that had to be killed. */
  stop(): Promise<readonly string[]>;
  /** The last resort, at once. */
  kill(): void;
}

export function newFleet(logFolder: string): Fleet {
  const waves = new Map<number, Running[]>();
  const cleanings: (() => void)[] = [];
  const all = (): readonly Running[] => [...waves.values()].flat().filter((running) => running.end() === undefined);
  return {
    start(wave, command) {
      const running = start(command, logFolder);
      waves.set(wave, [...(waves.get(wave) ?? []), running]);
      return running;
    },
    afterwards: (clean) => void cleanings.push(clean),
    async stop() {
      const killed: string[] = [];
      for (const wave of [...waves.keys()].toSorted((one, other) => other - one)) {
        const left = (waves.get(wave) ?? []).filter((running) => running.end() === undefined);
        const went = await Promise.all(left.map((running) => running.stop()));
        killed.push(...left.filter((_, at) => went[at] === false).map(({ name }) => name));
      }
      for (const clean of cleanings.splice(0)) clean();
      return killed;
    },
    kill: () => {
      for (const running of all()) running.kill();
      for (const clean of cleanings.splice(0)) clean();
    },
  };
}

export interface Patience {
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/**
 * The first value that `probe` gives.
 *
 * @throws Error that names the process with the last lines of its log, when it ends or the deadline passes before that. The signal's reason,
 *   when it aborts.
 */
export async function waitFor<T>(
  running: Running,
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
  { deadline, signal }: Patience,
): Promise<T> {
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    const end = running.end() ?? (Date.now() > deadline ? `did not ${what} in time` : undefined);
    if (end !== undefined) throw new Error(`${running.name} ${end}. ${lastWords(running.logFile)}`);
    await pause(POLL_MS, undefined, { signal });
  }
}

/** The HTTP port of a service that is ready for work. @throws as `waitFor` */
export async function readyPort(running: Running, patience: Patience): Promise<number> {
  const port = await waitFor(
    running,
    'open its HTTP port',
    () => portIn(readFileSync(running.logFile, 'utf8')),
    patience,
  );
  const probe = async (): Promise<true | undefined> => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: patience.signal }).catch(() => undefined);
    await answer?.body?.cancel();
    return answer?.ok === true ? true : undefined;
  };
  await waitFor(running, 'become ready', probe, patience);
  return port;
}

/** From the line that a service logs once it listens; a line that is half written has no end yet, and does not count. */
function portIn(log: string): number | undefined {
  const line = log.split('\n').find((each) => each.includes('"event":"http.listening"') && each.endsWith('}'));
  const port = /"port":(\d+)/.exec(line ?? '')?.[1];
  return port === undefined ? undefined : Number(port);
}

function lastWords(logFile: string): string {
  const lines = readFileSync(logFile, 'utf8').trim().split('\n').slice(-LAST_LINES);
  const said =
    lines.join('\n') === '' ? 'It logged nothing.' : `It last said:\n${lines.map((line) => `  ${line}`).join('\n')}`;
  return `${said}\nIts log: ${logFile}`;
}
