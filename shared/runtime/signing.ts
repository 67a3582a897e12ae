/** What `SIGNING` asks of an agent: a bus that signs, and knowing its own signature again. */
import type { Logger } from 'pino';
import type { IsOwn } from '../adapters/nats-log.ts';
import { publicKeyOf } from '../adapters/nats-keys.ts';
import type { Bus } from '../ports.ts';
import { ConfigError, type Environment } from './config.ts';
import type { Deps } from './engine/deps.ts';
import { signedBus } from './signed-bus.ts';
import { SIGNATURE_HEADER, signedAt, signingKey, verifyingKey } from './signatures.ts';

/** Where nothing is signed, whatever stands under this agent's token counts as its own. */
export function ownSignature({ SIGNING, NATS_NKEY_SEED: seed }: Environment): IsOwn {
  const key = SIGNING === 'off' || seed === undefined ? undefined : verifyingKey(publicKeyOf(seed));
  if (key === undefined) return () => true;
  return ({ subject, data, header }) => signedAt(key, header(SIGNATURE_HEADER) ?? '', subject, data) !== undefined;
}

/** Where nothing is signed, the bus as it is. */
export function saidBus(
  { bus, registry, clock, subjects }: Pick<Deps, 'bus' | 'registry' | 'clock' | 'subjects'>,
  config: Environment,
  log: Logger,
): Bus {
  const { SIGNING, NATS_NKEY_SEED: seed } = config;
  if (SIGNING === 'off') return bus;
  if (seed === undefined)
    throw new ConfigError('SIGNING: expected NATS_NKEY_SEED or NATS_IDENTITIES to sign with, got neither; set one');
  return signedBus({
    bus,
    registry,
    clock,
    subjects,
    key: signingKey(seed),
    refused: (fault, { subject }, signer) =>
      log.warn({ event: 'signature.refused', fault, subject, signer }, 'not signed by whom it claims to come from'),
  });
}
