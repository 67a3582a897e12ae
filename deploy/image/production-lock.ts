/**
 * Rewrites package.json and package-lock.json of the folder it is run in to what production needs. `npm ci --omit=dev` would still insist on
 * the optional packages of every other platform that a tool of development has, and a registry's mirror may not have them all.
 */
import { readFileSync, writeFileSync } from 'node:fs';

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

function read(file: string): Fields {
  const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
  if (!isFields(value)) throw new Error(`${file}: expected an object`);
  return value;
}

function write(file: string, value: Fields): void {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

function without(fields: unknown, name: string): Fields {
  return Object.fromEntries(Object.entries(isFields(fields) ? fields : {}).filter(([field]) => field !== name));
}

function isOfProduction(locked: unknown): boolean {
  return isFields(locked) && locked['dev'] !== true && locked['devOptional'] !== true;
}

const lock = read('package-lock.json');
const packages = isFields(lock['packages']) ? lock['packages'] : {};
const kept = Object.entries(packages).filter(([path, locked]) => path !== '' && isOfProduction(locked));
if (kept.length === 0) throw new Error('package-lock.json names no package of production');
write('package.json', without(read('package.json'), 'devDependencies'));
write('package-lock.json', {
  ...lock,
  packages: { '': without(packages[''], 'devDependencies'), ...Object.fromEntries(kept) },
});
