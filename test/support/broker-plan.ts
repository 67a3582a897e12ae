/** What the two kinds of test broker have in common. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { testedVersion } from '../../deploy/bootstrap/find-nats-server.ts';

/** The image that is used when it is here. */
export const brokerImage = `nats:${testedVersion}`;

export interface TestBroker {
  /** `nats://127.0.0.1:<port>`; the same across restarts. */
  readonly url: string;
  /** Of the server that runs now: a restart changes it. In a container: as its engine's machine counts. */
  readonly pid: number;
  readonly storeDir: string;
  /** Resolves when the signal has had its effect: the server is gone, or with SIGSTOP frozen. At once for other signals. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts the server again on the same port and store, ending it first when it still runs. */
  restart(): Promise<void>;
  /** Ends the server and removes its store, unless the caller brought one. */
  stop(): Promise<void>;
}

/** What a broker of either kind is started from. */
export interface BrokerPlan {
  /** A folder for the server's own files, removed at stop. */
  readonly folder: string;
  readonly storeDir: string;
  readonly keepStore: boolean;
  readonly port?: number;
  /** The configuration's text but for its store, which has another path in a container. */
  configText(storeDir: string): string;
}

/** Signals that end a server or take it away from its clients for good. */
export const endingSignals: readonly NodeJS.Signals[] = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGABRT'];

/**
 * The port in the file that a server started with `--ports_file_dir` writes once it accepts clients:
 * `{"nats": ["nats://127.0.0.1:4222"], ...}`. Undefined while the file is missing or half written.
 */
export function announcedPort(folder: string, pid: number): number | undefined {
  const file = join(folder, `nats-server_${pid}.ports`);
  if (!existsSync(file)) return undefined;
  const port = /"nats":\s*\[\s*"nats:\/\/[^"]*:(\d+)"/.exec(readFileSync(file, 'utf8'))?.[1];
  return port === undefined ? undefined : Number(port);
}
