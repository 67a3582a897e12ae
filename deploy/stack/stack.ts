/** One running stack: its project, its secrets, its variables, and compose to act on it. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseEnv } from 'node:util';
import { type Compose } from '../engine/engine.ts';
import { type SecretOptions, ensureSecrets } from './secrets.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface StackOptions {
  /** Also the prefix of its containers, networks and volumes. */
  readonly project: string;
  readonly nodes: 1 | 3;
  /** Variables of deploy/compose.yaml. */
  readonly variables: Readonly<Record<string, string>>;
  readonly profiles: readonly string[];
  readonly secrets: SecretOptions;
}

export interface Stack {
  readonly secretsFolder: string;
  readonly files: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Runs compose to its end, its words going where ours go. @throws Error with the exit code. */
  compose(args: readonly string[], input?: string): void;
  /** Standard output of compose. @throws Error with its last words. */
  ask(args: readonly string[], input?: string): string;
  ensureSecrets(): Promise<void>;
  /** Containers, networks, volumes and secrets. */
  remove(): void;
}

/** Where the secrets of a project are. */
export function secretsFolder(project: string): string {
  return join(root, '.cache', 'stack', project);
}

export function stackOf(compose: Compose, options: StackOptions): Stack {
  const secrets = secretsFolder(options.project);
  const files = ['deploy/compose.yaml', ...(options.nodes === 1 ? ['deploy/compose.laptop.yaml'] : [])];
  const single = { REPLICAS: '1', NATS_SERVERS: 'nats://nats-1:4222' };
  const one = { PLANNERS: '1', RESEARCHERS: '1', CODERS: '1', ECHOES: '1', REVIEWERS: '1' };
  const environment = {
    ...(options.nodes === 1 ? { ...single, ...one } : {}),
    ...options.variables,
    CONCLAVE_PROJECT: options.project,
    CONCLAVE_SECRETS: secrets,
  };
  const run = (args: readonly string[], input: string | undefined, shown: boolean): string => {
    const profiles = options.profiles.flatMap((profile) => ['--profile', profile]);
    const result = spawnSync(
      compose.command,
      [...compose.prefix, ...files.flatMap((file) => ['--file', file]), ...profiles, ...args],
      {
        cwd: root,
        encoding: 'utf8',
        env: { ...process.env, ...environment },
        ...(input === undefined ? {} : { input }),
        stdio: [input === undefined ? 'ignore' : 'pipe', shown ? 'inherit' : 'pipe', shown ? 'inherit' : 'pipe'],
      },
    );
    if (result.error) throw result.error;
    if (result.status !== 0) {
      const words = (result.stderr ?? '').trim().split('\n').slice(-5).join('\n');
      throw new Error(
        `compose ${args.join(' ')} ended with ${result.status ?? result.signal}${words && `:\n${words}`}`,
      );
    }
    return result.stdout ?? '';
  };
  return {
    secretsFolder: secrets,
    files,
    environment,
    compose: (args, input) => void run(args, input, true),
    ask: (args, input) => run(args, input, false),
    ensureSecrets: () => ensureSecrets(secrets, options.secrets),
    remove() {
      run(['--profile', '*', 'down', '--volumes', '--remove-orphans', '--timeout', '30'], undefined, true);
      rmSync(secrets, { recursive: true, force: true });
    },
  };
}

/** What a user may set: .env in the project's folder, below what the shell has set. */
export function userVariables(): Readonly<Record<string, string>> {
  const file = join(root, '.env');
  const written = existsSync(file) ? parseEnv(readFileSync(file, 'utf8')) : {};
  const all = { ...written, ...process.env };
  return Object.fromEntries(Object.entries(all).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}
