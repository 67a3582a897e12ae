/**
 * Private brokers for tests: real servers with JetStream that can be killed, frozen and restarted, on a free port and a store of
 * their own. A container when an engine and the image are here already (nothing is ever pulled), else the local nats-server.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { natsServerBinary } from '../../deploy/bootstrap/find-nats-server.ts';
import { type BrokerPlan, brokerImage, type TestBroker } from './broker-plan.ts';
import { startLocalBroker } from './local-broker.ts';

export type { TestBroker };

export interface BrokerOptions {
  /** Kept at stop. Absent: a new folder below the system's temporary folder, removed at stop. */
  readonly storeDir?: string;
  /** Absent: a free one, the same across restarts. */
  readonly port?: number;
  /** Server configuration added at the top level: users, cluster... */
  readonly config?: string;
  /** Server configuration added within `jetstream { }`: `sync_interval: always`. */
  readonly jetstream?: string;
}

/**
 * Starts one broker and waits until it accepts clients.
 *
 * @throws Error with the server's own last words when it does not come up, or with what to install when there is none.
 */
export async function startBroker(options: BrokerOptions = {}): Promise<TestBroker> {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-broker-'));
  const storeDir = options.storeDir ?? join(folder, 'store');
  mkdirSync(storeDir, { recursive: true });
  const plan: BrokerPlan = {
    folder,
    storeDir,
    keepStore: options.storeDir !== undefined,
    ...(options.port === undefined ? {} : { port: options.port }),
    configText: (path) =>
      [
        `jetstream { store_dir: ${JSON.stringify(path)}, max_mem: 1G, max_file: 10G`,
        options.jetstream ?? '',
        '}',
        options.config ?? '',
        '',
      ].join('\n'),
  };
  try {
    if ((await brokerKind()) === 'container') {
      const { startContainerBroker } = await import('./container-broker.ts');
      return await startContainerBroker(plan);
    }
    return await startLocalBroker(plan);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

type BrokerKind = 'container' | 'local';

let decision: Promise<BrokerKind> | undefined;

/** Decided once per run: the first decision reaches the workers through the environment. */
function brokerKind(): Promise<BrokerKind> {
  decision ??= decideBrokerKind();
  return decision;
}

async function decideBrokerKind(): Promise<BrokerKind> {
  const set = process.env['TEST_BROKER'];
  if (set === 'container' || set === 'local') return set;
  if (set) throw new Error(`TEST_BROKER is ${JSON.stringify(set)}: set it to container or local, or unset it.`);
  const { imageIsHere } = await import('./container-broker.ts');
  const kind: BrokerKind = (await imageIsHere(brokerImage)) ? 'container' : 'local';
  process.stdout.write(`Test broker: ${kind === 'container' ? `container of ${brokerImage}` : natsServerBinary()}\n`);
  process.env['TEST_BROKER'] = kind;
  return kind;
}
