/** Keys by which the broker knows its users. */
import { createUser, fromSeed } from '@nats-io/nkeys';

export interface UserKey {
  /** `U` and 55 characters: what the broker's configuration holds. */
  readonly publicKey: string;
  /** `SU` and 56 characters: what the user alone holds, in NATS_NKEY_SEED. */
  readonly seed: string;
}

export function newUserKey(): UserKey {
  const pair = createUser();
  return { publicKey: pair.getPublicKey(), seed: new TextDecoder().decode(pair.getSeed()) };
}

/** Throws when `seed` is not a user's seed. */
export function publicKeyOf(seed: string): string {
  const key = fromSeed(new TextEncoder().encode(seed)).getPublicKey();
  if (!key.startsWith('U'))
    throw new Error(`expected the seed of a user (SU...), got one of another kind (${key.slice(0, 1)})`);
  return key;
}
