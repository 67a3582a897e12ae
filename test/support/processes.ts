/**
 * Agents as what they are in the field: processes that start, answer over HTTP, are told to stop, killed, frozen and thawed. A test knows no more of
 * them than PROTOCOL says: environment, log lines, exit code, `/readyz` and `/metrics`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { waitUntil } from './wait.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const LINES_KEPT_MAX = 5_000;
const TAIL_LINES = 40;
const START_MS_MAX = 30_000;

export interface AgentSpec {
  /** Folder with a `main.ts`, from the root of the project: `services/echo`. */
  readonly folder: string;
  /** On top of PATH, which is all that it inherits. */
  readonly env: Readonly<Record<string, string>>;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface AgentProcess {
  readonly pid: number;
  /** Resolves when it has ended and its last line is read. */
  readonly exit: Promise<Exit>;
  /** Lines of stdout that are JSON records, oldest first. */
  records(): readonly LogRecord[];
  /** Waits for a record of this event. */
  logged(event: string, timeoutMs?: number): Promise<LogRecord>;
  /** Resolves when the process is gone, or at once for a signal that does not end it at once. */
  signal(signal: NodeJS.Signals): Promise<void>;
  /** `http://127.0.0.1:<port>`, once it listens. */
  origin(): Promise<string>;
  /** The text of `/metrics`. */
  metrics(): Promise<string>;
  /** The last lines it wrote, for a person who looks for a fault. */
  tail(): string;
}

export interface LogRecord {
  readonly event?: string;
  readonly [field: string]: unknown;
}

/** Starts the process and returns at once; whoever needs it to be ready waits for `agent.ready`. */
export function startProcess(spec: AgentSpec): AgentProcess {
  const { PATH } = process.env;
  const child = spawn(process.execPath, [`${spec.folder}/main.ts`], {
    cwd: ROOT,
    env: { PATH, HTTP_PORT: '0', ...spec.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${spec.folder}/main.ts could not be started.`);
  const lines: string[] = [];
  const records: LogRecord[] = [];
  let stderr = '';
  /** Kept apart: who logs much has forgotten it when somebody asks. */
  let listening: LogRecord | undefined;
  read(child, (line) => {
    lines.push(line);
    if (lines.length > LINES_KEPT_MAX) lines.shift();
    const record = recordIn(line);
    if (record !== undefined) records.push(record);
    if (record?.event === 'http.listening') listening = record;
    if (records.length > LINES_KEPT_MAX) records.shift();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const exit = once(child, 'close').then((): Exit => {
    guard.drop(pid);
    return { code: child.exitCode, signal: child.signalCode, stdout: lines.join('\n'), stderr };
  });
  const gone = once(child, 'exit');
  guard.add(pid);

  const tail = (): string =>
    [`--- ${spec.folder} (pid ${pid})`, ...lines.slice(-TAIL_LINES), stderr.trimEnd()]
      .filter((part) => part !== '')
      .join('\n');
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const logged = (event: string, timeoutMs = START_MS_MAX): Promise<LogRecord> =>
    waitUntil(
      `${spec.folder} logs ${event}`,
      () => {
        // A process that begins again, e.g. because another took its identity, says everything again.
        const found = records.findLast((record) => record.event === event);
        if (found === undefined && ended()) throw new Error(`It ended before it logged ${event}.\n${tail()}`);
        return found;
      },
      timeoutMs,
    );
  const origin = async (): Promise<string> =>
    `http://127.0.0.1:${String((listening ?? (await logged('http.listening')))['port'])}`;
  return {
    pid,
    exit,
    records: () => records,
    logged,
    async signal(signal) {
      if (!ended()) child.kill(signal);
      if (signal === 'SIGKILL') await gone;
    },
    origin,
    metrics: async () => (await fetch(`${await origin()}/metrics`)).text(),
    tail,
  };
}

/** Ends it whatever state it is in. */
export async function endProcess(agent: AgentProcess): Promise<void> {
  await agent.signal('SIGKILL');
  await agent.exit;
}

function read(child: ChildProcess, take: (line: string) => void): void {
  if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', take);
}

function recordIn(line: string): LogRecord | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as LogRecord;
  } catch {
    return undefined;
  }
}

/** A test process that is killed cannot end what it started: a shell that sees its pipe close does. */
const guard = (() => {
  const script = `
    pids=
    while read -r what pid; do
      if [ "$what" = add ]; then pids="$pids $pid"; continue; fi
      left=
      for each in $pids; do [ "$each" = "$pid" ] || left="$left $each"; done
      pids=$left
    done
    [ -z "$pids" ] || kill -KILL $pids
  `;
  let shell: ChildProcess | undefined;
  const say = (line: string): void => {
    if (shell === undefined) {
      shell = spawn('sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'] });
      shell.unref();
      if (shell.stdin instanceof Socket) shell.stdin.unref();
    }
    shell.stdin?.write(`${line}\n`);
  };
  return { add: (pid: number) => say(`add ${pid}`), drop: (pid: number) => say(`drop ${pid}`) };
})();
