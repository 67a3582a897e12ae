/** Three real brokers as one cluster, on this machine: streams with three copies that survive one of them. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestBroker } from './broker-plan.ts';
import { freePort } from './free-port.ts';
import { startLocalBroker } from './local-broker.ts';

export interface TestCluster {
  /** Addresses of all three, as NATS_URL takes them. */
  readonly url: string;
  readonly brokers: readonly TestBroker[];
  stop(): Promise<void>;
}

const SIZE = 3;

export async function startCluster(): Promise<TestCluster> {
  const ports = await Promise.all(Array.from({ length: SIZE }, freePort));
  const routes = ports.map((port) => `nats-route://127.0.0.1:${port}`).join(', ');
  const folders: string[] = [];
  const brokers = await Promise.all(
    ports.map((port, index) => {
      const folder = mkdtempSync(join(tmpdir(), 'conclave-cluster-'));
      folders.push(folder);
      const storeDir = join(folder, 'store');
      mkdirSync(storeDir);
      return startLocalBroker({
        folder,
        storeDir,
        keepStore: false,
        configText: (path) =>
          [
            `server_name: n${index}`,
            `jetstream { store_dir: ${JSON.stringify(path)} }`,
            `cluster { name: test, listen: "127.0.0.1:${port}", routes: [${routes}] }`,
            '',
          ].join('\n'),
      });
    }),
  );
  return {
    url: brokers.map((broker) => broker.url).join(','),
    brokers,
    async stop() {
      await Promise.all(brokers.map((broker) => broker.stop()));
      for (const folder of folders) rmSync(folder, { recursive: true, force: true });
    },
  };
}
