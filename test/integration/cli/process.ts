/** The command line as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { waitUntil } from '../../support/wait.ts';

const main = fileURLToPath(new URL('../../../services/cli/main.ts', import.meta.url));

export interface Running {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Resolves as soon as stdout holds this text. */
  says(text: string): Promise<unknown>;
  /** Resolves to the exit code, once the process has ended and all it said was read. */
  end(): Promise<number | null>;
}

export function startCli(
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly stdin?: string } = {},
): Running {
  const {
    NATS_URL: _url,
    MESH: _mesh,
    NATS_CREDS: _creds,
    NATS_NKEY_SEED: _seed,
    LOG_LEVEL: _level,
    NODE_COMPILE_CACHE: _cache,
    ...inherited
  } = process.env;
  const child = spawn(process.execPath, [main, ...args], { env: { ...inherited, ...options.env }, stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  const closed = once(child, 'close');
  child.stdin.end(options.stdin ?? '');
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    says: (text) => waitUntil(`the command says ${JSON.stringify(text)}`, () => stdout.includes(text), 30_000),
    async end() {
      await closed;
      return child.exitCode;
    },
  };
}
