import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const MAIN = new URL('../../../services/model/main.ts', import.meta.url).pathname;

export interface ModelProcess {
  readonly origin: string;
  readonly baseUrl: string;
  readonly child: ChildProcess;
  /** Sends the signal and gives the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface Exit {
  readonly code: number | null;
  readonly stderr: string;
}

/** services/model as its own process on a free port; resolves when it is ready, and throws what it printed when it ends before that. */
export async function startModel(env: Readonly<Record<string, string>> = {}): Promise<ModelProcess> {
  const child = spawnModel(env);
  const exited = once(child, 'exit');
  const stderr = collected(child);
  const listening = new Promise<number>((resolve, reject) => {
    const lines = createInterface({ input: child.stdout ?? process.stdin });
    lines.on('line', (line) => {
      const record: { event?: string; port?: number } = JSON.parse(line);
      if (record.event === 'http.listening' && record.port !== undefined) resolve(record.port);
    });
    void exited.then(([code]) =>
      reject(new Error(`services/model ended with ${code} before it listened: ${stderr()}`)),
    );
  });
  const origin = `http://127.0.0.1:${await listening}`;
  // Ready is warm: no test should time the loading of a tokenizer.
  await fetch(`${origin}/readyz`);
  return {
    origin,
    baseUrl: `${origin}/v1`,
    child,
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await exited;
      return child.exitCode;
    },
  };
}

/** Runs it until it ends by itself. */
export async function runModel(env: Readonly<Record<string, string>>): Promise<Exit> {
  const child = spawnModel(env);
  const stderr = collected(child);
  child.stdout?.resume();
  // Not 'exit': the last output may arrive after it.
  await once(child, 'close');
  return { code: child.exitCode, stderr: stderr() };
}

function spawnModel(env: Readonly<Record<string, string>>): ChildProcess {
  const { PATH } = process.env;
  return spawn(process.execPath, [MAIN], { env: { PATH, HTTP_PORT: '0', ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
}

function collected(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => text;
}
