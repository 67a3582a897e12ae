/**
 * Who this agent is. The broker binds an id to a key, so processes of one role that share a list of identities each take one that is free; the seat decides
 * when two take the same, and whoever loses starts again.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { BrokerUnreachable } from '../adapters/nats-connect.ts';
import { natsRegistry } from '../adapters/nats-registry.ts';
import { Id } from '../protocol/ids.ts';
import { subjectsOf } from '../protocol/subjects.ts';
import { connectAs } from './broker.ts';
import { ConfigError, type Environment } from './config.ts';

const SUFFIX_LENGTH = 8;

/** The environment with AGENT_ID, and NATS_NKEY_SEED if the identity has a key of its own. Throws ConfigError when every identity is in use. */
export async function identify(
  config: Environment,
  role: string,
): Promise<Environment & { readonly AGENT_ID: string }> {
  const { NATS_IDENTITIES: identities, AGENT_ID: given } = config;
  if (identities === undefined) {
    const agentId = given ?? `${role}-${randomUUID().slice(0, SUFFIX_LENGTH)}`;
    return { ...config, AGENT_ID: Id.parse(agentId) };
  }
  const own = given === undefined ? identities : identities.filter(({ agentId }) => agentId === given);
  const taken = await present(config, own);
  const free = own.filter(({ agentId }) => !taken.has(agentId));
  const chosen = free[free.length === 0 ? 0 : randomInt(free.length)];
  if (chosen === undefined)
    throw new ConfigError(
      `NATS_IDENTITIES: expected an identity that no running agent has, got ${own.length === 0 ? `none for ${given ?? role}` : `${own.length}, all in use`}; add identities or start fewer agents`,
    );
  return { ...config, AGENT_ID: chosen.agentId, NATS_NKEY_SEED: chosen.seed };
}

/** Without an answer nothing is known, and the seat decides. */
async function present(config: Environment, own: NonNullable<Environment['NATS_IDENTITIES']>): Promise<Set<string>> {
  const [any] = own;
  if (any === undefined) return new Set();
  const subjects = subjectsOf(config.MESH);
  try {
    const nc = await connectAs({ ...config, NATS_NKEY_SEED: any.seed }, subjects, any.agentId);
    try {
      return new Set((await natsRegistry(nc, subjects).list()).map(({ agentId }) => agentId));
    } finally {
      await nc.close();
    }
  } catch (error) {
    if (error instanceof BrokerUnreachable) return new Set();
    throw error;
  }
}
