/**
 * The image's bill of materials (CycloneDX): what npm says of the packages, plus Node and the system's libraries. `sbom.ts <npm's> <folder of dpkg
 * states>` prints it. Without a time and a serial number: the same contents give the same document.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [packages, libraries] = process.argv.slice(2);
if (packages === undefined || libraries === undefined) throw new Error('usage: sbom.ts <npm sbom> <dpkg states>');

interface Bill {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly components: readonly unknown[];
}

function isBill(value: unknown): value is Bill {
  return typeof value === 'object' && value !== null && 'components' in value && Array.isArray(value.components);
}

function fieldsOfState(text: string): ReadonlyMap<string, string> {
  return new Map([...text.matchAll(/^([A-Za-z-]+): (.*)$/gm)].map(([, name = '', value = '']) => [name, value]));
}

const system = fieldsOfState(
  readFileSync('/etc/os-release', 'utf8').replaceAll(
    /^(\w+)="?([^"\n]*)"?$/gm,
    (_, name, value) => `${String(name).replaceAll('_', '-')}: ${String(value)}`,
  ),
);
const debian = readdirSync(libraries).map((name) => {
  const state = fieldsOfState(readFileSync(join(libraries, name), 'utf8'));
  const version = state.get('Version') ?? '';
  const distribution = `debian-${system.get('VERSION-ID') ?? ''}`;
  return {
    type: 'library',
    name,
    version,
    purl: `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${state.get('Architecture') ?? ''}&distro=${distribution}`,
  };
});
const version = process.version.slice(1);
const node = {
  type: 'application',
  name: 'node',
  version,
  purl: `pkg:generic/node@${version}`,
  cpe: `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`,
};

const bill: unknown = JSON.parse(readFileSync(packages, 'utf8'));
if (!isBill(bill)) throw new Error(`${packages} is no bill of materials`);
const { serialNumber: _serial, ...rest } = { serialNumber: '', ...bill };
const { timestamp: _time, ...metadata } = { timestamp: '', ...bill.metadata };
const whole = { ...rest, metadata, components: [node, ...debian, ...bill.components] };
process.stdout.write(`${JSON.stringify(whole, null, 1)}\n`);
