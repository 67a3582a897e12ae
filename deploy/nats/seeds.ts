/** The users' secrets, one file each, `<name>.seed`, readable by their owner only. What is there stays, so that a second run changes nobody's key. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { newUserKey, publicKeyOf } from '../../shared/adapters/nats-keys.ts';

const OWNER_ONLY = 0o600;
const OWNER_FOLDER = 0o700;

/** The seed of user `name`, which is there already. */
export function seedOf(folder: string, name: string): string {
  return readFileSync(join(folder, `${name}.seed`), 'utf8').trim();
}

/** Writes what only its owner may read, whole or not at all: an agent may read it at any moment. */
export function writeSecret(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: OWNER_FOLDER });
  writeFileSync(`${file}.new`, text, { mode: OWNER_ONLY });
  renameSync(`${file}.new`, file);
}

/** The public key of user `name`; its seed is made where there is none, or where it is to be replaced. */
export function keyOf(folder: string, name: string, replace: boolean): string {
  const file = join(folder, `${name}.seed`);
  if (existsSync(file) && !replace) return publicKeyOf(readFileSync(file, 'utf8').trim());
  const { seed, publicKey } = newUserKey();
  writeSecret(file, `${seed}\n`);
  return publicKey;
}
