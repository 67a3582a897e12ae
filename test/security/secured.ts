/** A mesh whose broker lets in only the users that deploy/nats made from the manifests, each with no more than it needs. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type NatsConnection, nkeyAuthenticator, PermissionViolationError } from '@nats-io/transport-node';
import { generate } from '../../deploy/nats/generate.ts';
import { startBroker, type TestBroker } from '../support/broker.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const MESH = 'mesh';

export interface Widening {
  readonly publish?: readonly string[];
  readonly subscribe?: readonly string[];
}

export interface Secured {
  readonly broker: TestBroker;
  readonly folder: string;
  seed(user: string): string;
  /** A plain client with this user's key. */
  connectAs(user: string): Promise<Watched>;
  cli(
    user: string,
    ...args: readonly string[]
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;
  stop(): Promise<void>;
}

/** A connection, and what the broker denied it. */
export interface Watched {
  readonly nc: NatsConnection;
  readonly denied: readonly { readonly operation: string; readonly subject: string }[];
}

/** `widen`: subjects that one user may use on top of what the generator gave it: what an attack must not be able to do, done as a control. */
export async function startSecured(widen: { readonly user?: string } & Widening = {}): Promise<Secured> {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-secured-'));
  const agents = [
    { folder: 'services/echo', count: 2 },
    { folder: 'services/researcher', count: 2 },
    { folder: 'services/coder', count: 1 },
    { folder: 'services/reviewer', count: 3 },
  ];
  const { file, capabilities } = await generate({
    mesh: MESH,
    agents,
    submitters: ['submitter'],
    rotate: [],
    out: folder,
  });
  const broker = await startBroker({ config: widened(readFileSync(file, 'utf8'), widen) });
  const seed = (user: string): string => readFileSync(join(folder, 'seeds', `${user}.seed`), 'utf8').trim();
  const secured: Secured = {
    broker,
    folder,
    seed,
    async connectAs(user) {
      const nc = await connect({
        servers: broker.url,
        authenticator: nkeyAuthenticator(new TextEncoder().encode(seed(user))),
        inboxPrefix: `${MESH}.inbox.${user === 'admin' || user === 'operator' ? 'cli' : user}`,
        reconnect: false,
      });
      const denied: { operation: string; subject: string }[] = [];
      void (async () => {
        for await (const status of nc.status()) {
          if (status.type !== 'error' || !(status.error instanceof PermissionViolationError)) continue;
          denied.push({ operation: status.error.operation, subject: status.error.subject });
        }
      })();
      return { nc, denied };
    },
    cli: (user, ...args) =>
      new Promise((resolve) => {
        const env = { PATH: process.env['PATH'] ?? '', NATS_URL: broker.url, NATS_NKEY_SEED: seed(user), MESH };
        execFile(process.execPath, ['services/cli/main.ts', ...args], { cwd: ROOT, env }, (error, stdout, stderr) =>
          resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
        );
      }),
    async stop() {
      await broker.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  const made = await secured.cli('admin', 'admin', 'init', '--capabilities', capabilities.join(','));
  if (made.code !== 0) throw new Error(`admin init: ${made.stderr}`);
  return secured;
}

function widened(
  accounts: string,
  { user, publish = [], subscribe = [] }: { readonly user?: string } & Widening,
): string {
  if (user === undefined) return accounts;
  const [before = '', after = ''] = accounts.split(`# ${user}\n`);
  const add = (text: string, operation: string, subjects: readonly string[]): string =>
    text.replace(
      `${operation}: { allow: [`,
      (found) => found + subjects.map((subject) => `\n          ${JSON.stringify(subject)}`).join(''),
    );
  return `${before}# ${user}\n${add(add(after, 'publish', publish), 'subscribe', subscribe)}`;
}
