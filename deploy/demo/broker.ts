/** A broker for this run alone: the machine's nats-server on a free port, with a fresh store that goes with it. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { natsServerBinary } from '../bootstrap/find-nats-server.ts';
import { type Fleet, type Patience, waitFor } from './processes.ts';

/** Its URL, once it accepts clients. @throws Error with what to install when no nats-server fits, or as `waitFor` */
export async function startPrivateBroker(fleet: Fleet, wave: number, patience: Patience): Promise<string> {
  const file = natsServerBinary();
  const folder = mkdtempSync(join(tmpdir(), 'conclave-demo-'));
  fleet.afterwards(() => rmSync(folder, { recursive: true, force: true }));
  const config = join(folder, 'server.conf');
  // Acknowledged means on disk, also here: the default is to sync every two minutes.
  writeFileSync(config, `jetstream { store_dir: ${JSON.stringify(join(folder, 'store'))}, sync_interval: always }\n`);
  const args = ['-c', config, '-a', '127.0.0.1', '-p', '-1', '--ports_file_dir', folder];
  const running = fleet.start(wave, { name: 'nats-server', file, args, env: process.env });
  const portsFile = join(folder, `nats-server_${running.pid}.ports`);
  const url = (): string | undefined =>
    existsSync(portsFile) ? /"nats":\s*\[\s*"(nats:\/\/[^"]+)"/.exec(readFileSync(portsFile, 'utf8'))?.[1] : undefined;
  return waitFor(running, 'accept clients', url, patience);
}
