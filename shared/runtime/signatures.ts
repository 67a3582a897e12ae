/**
 * Signatures of what agents say, with the keys by which the broker knows them (nkeys: ed25519). Signed are the subject, the time and the body, so that
 * neither another round, another sender nor another day can use a signature again.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/** `<milliseconds since the epoch> <signature in base64 for URLs>`. */
export const SIGNATURE_HEADER = 'Conclave-Signature';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const BITS = 5;
const KEY_BYTES = 32;
/** Two bytes say that it is a seed, and whose; one byte says that it is a public key. */
const SEED_PREFIX_BYTES = 2;
const PUBLIC_PREFIX_BYTES = 1;
/** What DER (RFC 8410) puts before the 32 bytes of an ed25519 key. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

function base32(text: string): Buffer {
  const bytes: number[] = [];
  let value = 0;
  let bits = 0;
  for (const character of text) {
    const index = ALPHABET.indexOf(character);
    if (index < 0) throw new Error(`expected a key in base32, got the character ${JSON.stringify(character)}`);
    value = (value << BITS) | index;
    bits += BITS;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 0xff);
    value &= (1 << bits) - 1;
  }
  return Buffer.from(bytes);
}

function raw(key: string, prefixBytes: number): Buffer {
  const bytes = base32(key).subarray(prefixBytes, prefixBytes + KEY_BYTES);
  if (bytes.length !== KEY_BYTES) throw new Error(`expected a key of ${KEY_BYTES} bytes, got ${bytes.length}`);
  return bytes;
}

/** From a user's seed (`SU...`). Throws when it is none. */
export function signingKey(seed: string): KeyObject {
  return createPrivateKey({
    key: Buffer.concat([PKCS8, raw(seed, SEED_PREFIX_BYTES)]),
    format: 'der',
    type: 'pkcs8',
  });
}

/** From a user's public key (`U...`); undefined when it is none. */
export function verifyingKey(publicKey: string): KeyObject | undefined {
  try {
    return createPublicKey({
      key: Buffer.concat([SPKI, raw(publicKey, PUBLIC_PREFIX_BYTES)]),
      format: 'der',
      type: 'spki',
    });
  } catch {
    return undefined;
  }
}

function signed(subject: string, at: number, data: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${subject}\n${at}\n`), data]);
}

/** The header's value. */
export function signatureOf(key: KeyObject, subject: string, at: number, data: Uint8Array): string {
  return `${at} ${sign(null, signed(subject, at, data), key).toString('base64url')}`;
}

/** When it was signed, milliseconds since the epoch; undefined for a value that is not this key's signature of this message. */
export function signedAt(key: KeyObject, value: string, subject: string, data: Uint8Array): number | undefined {
  const [time = '', signature = ''] = value.split(' ');
  const at = Number(time);
  if (!/^\d{1,15}$/.test(time)) return undefined;
  return verify(null, signed(subject, at, data), key, Buffer.from(signature, 'base64url')) ? at : undefined;
}
