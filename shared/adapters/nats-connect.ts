/** The one place that opens a connection to the broker. Library defaults that we depend on are pinned here, each with its reason. */
import { readFileSync } from 'node:fs';
import {
  connect,
  type ConnectionOptions,
  credsAuthenticator,
  type NatsConnection,
  nkeyAuthenticator,
} from '@nats-io/transport-node';

export interface BrokerOptions {
  /** One address, or several of one cluster separated by commas. */
  readonly url: string;
  /** Path of a credentials file (JWT and seed). */
  readonly credsFile?: string;
  readonly nkeySeed?: string;
  /** Path of the certificate (PEM) of whoever signed the broker's; absent: those whom Node trusts. */
  readonly caFile?: string;
  /** Shown in the broker's connection list. */
  readonly name: string;
  /** Replies arrive below it; the broker's permissions bind an agent to its own. */
  readonly inboxPrefix?: string;
  /** True: keep trying until the broker is there (agents). False: fail at once (the command line). */
  readonly waitOnFirstConnect?: boolean;
}

/** The broker did not answer, or refused us. `message` is one line that says what was tried and what to do. */
export class BrokerUnreachable extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'BrokerUnreachable';
  }
}

export async function connectBroker(options: BrokerOptions): Promise<NatsConnection> {
  const servers = options.url.split(',').map((server) => withoutLogin(server.trim()));
  const shown = servers.map(({ address }) => address).join(', ');
  const login = servers.find(({ user }) => user !== undefined);
  const settings: ConnectionOptions = {
    servers: servers.map(({ address }) => address),
    name: options.name,
    // A broker that is frozen, not dead, keeps its socket open: with the default ping (2 minutes) a client would hang for minutes.
    pingInterval: 1_500,
    maxPingOut: 2,
    // An agent outlives any outage of its broker; work that it holds is fenced anyway.
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 200,
    waitOnFirstConnect: options.waitOnFirstConnect ?? false,
    timeout: 5_000,
    // Capturing a stack for each request costs more than the request.
    noAsyncTraces: true,
    ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
    ...(login?.user === undefined ? {} : { user: login.user, pass: login.pass ?? '' }),
    ...(options.caFile === undefined ? {} : { tls: { caFile: options.caFile } }),
    ...authenticator(options),
  };
  try {
    return await connect(settings);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new BrokerUnreachable(
      `no NATS broker at ${shown} (${detail}); start one with JetStream or set NATS_URL`,
      error,
    );
  }
}

function authenticator(options: BrokerOptions): Pick<ConnectionOptions, 'authenticator'> {
  const encoder = new TextEncoder();
  if (options.credsFile !== undefined) return { authenticator: credsAuthenticator(readFileSync(options.credsFile)) };
  if (options.nkeySeed !== undefined) return { authenticator: nkeyAuthenticator(encoder.encode(options.nkeySeed)) };
  return {};
}

/** The client ignores `user:password@` in an address; and neither belongs into an error message. */
function withoutLogin(server: string): { address: string; user?: string; pass?: string } {
  const parts = /^(\w+:\/\/)?([^@/]+)@(.*)$/.exec(server);
  if (parts === null) return { address: server };
  const [user, ...pass] = (parts[2] ?? '').split(':').map(decodeURIComponent);
  return {
    address: `${parts[1] ?? ''}${parts[3] ?? ''}`,
    ...(user === undefined ? {} : { user }),
    pass: pass.join(':'),
  };
}
