/**
 * Everything that the stack must not have in an image, an environment or a repository: certificates, the brokers' list of users, each user's
 * seed, passwords. Made on this machine, once, below one folder.
 *
 * The folder is for its owner alone; the files in it can be read by all, because containers that run as other users get them mounted one by one.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../bootstrap/command.ts';
import { generate } from '../nats/generate.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const VALID_DAYS = 365;
const OPENSSL_MS_MAX = 30_000;
const PASSWORD_BYTES = 24;

/** The services that are agents. */
const agents = ['planner', 'researcher', 'coder', 'reviewer', 'echo'] as const;
/** Users that are people or steps, not agents. */
const people = ['admin', 'operator', 'submitter'] as const;
/** Of each agent: as many may run at once as overlays/production scales to, and one more while they are replaced. */
const IDENTITIES = 24;

/** What the brokers are called, under compose and by the chart in Kubernetes. */
const brokerNames = [
  'nats-1',
  'nats-2',
  'nats-3',
  'localhost',
  'nats',
  'nats.conclave',
  'nats.conclave.svc',
  'nats.conclave.svc.cluster.local',
  ...[0, 1, 2].flatMap((index) => [
    `nats-${index}.nats-headless`,
    `nats-${index}.nats-headless.conclave.svc.cluster.local`,
  ]),
];

export interface SecretOptions {
  /** What a key of the model endpoint is; absent: the offline model, which asks for none. */
  readonly openAiKey?: string;
  /** Name of the mesh, and of its account. */
  readonly mesh?: string;
  /** Users, `coder-1` or `operator`, whose key is replaced. The brokers and whoever held it have to be told: see docs/operating.md. */
  readonly rotate?: readonly string[];
}

/**
 * Makes what is not there yet, whole or not at all. What each user may do is written again: it follows from the manifests, which an upgrade may have
 * changed. @throws Error of one line.
 */
export async function ensureSecrets(folder: string, options: SecretOptions): Promise<void> {
  const rotate = options.rotate ?? [];
  if (!existsSync(folder)) {
    const fresh = `${folder}.${process.pid}`;
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { recursive: true, mode: 0o700 });
    certificates(fresh);
    await users(fresh, options.mesh ?? 'mesh', []);
    put(fresh, 'grafana.password', randomBytes(PASSWORD_BYTES).toString('base64url'));
    renameSync(fresh, folder);
  } else await users(folder, options.mesh ?? 'mesh', rotate);
  put(folder, 'openai.key', options.openAiKey ?? 'offline');
  put(folder, 'kubernetes.json', `${JSON.stringify(kubernetesObjects(folder), null, 2)}\n`);
}

/** The brokers' users, each with the allow-lists that its manifest asks for. Keys that are there already stay. */
async function users(folder: string, mesh: string, rotate: readonly string[]): Promise<void> {
  const out = join(folder, 'nats');
  const accounts = join(out, 'accounts.conf');
  if (existsSync(accounts)) chmodSync(accounts, 0o644);
  await generate({
    mesh,
    agents: agents.map((service) => ({ folder: join(root, 'services', service), count: IDENTITIES })),
    submitters: ['submitter'],
    rotate,
    out,
  });
  // The generator writes for its owner alone; here the folder above is.
  for (const entry of readdirSync(out, { recursive: true, withFileTypes: true })) {
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o444);
  }
}

function put(folder: string, name: string, text: string): void {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  // Written in place, not replaced: a container that runs already keeps the file that it has mounted.
  if (existsSync(path)) chmodSync(path, 0o644);
  writeFileSync(path, text);
  chmodSync(path, 0o444);
}

/** One authority and one certificate for all brokers. The authority's key is not kept: nothing else can ever be signed by it. */
function certificates(folder: string): void {
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: readonly string[]): void => {
    run('openssl', args, { timeoutMs: OPENSSL_MS_MAX });
  };
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  mkdirSync(at('nats'));
  writeFileSync(
    at('openssl.cnf'),
    [
      '[req]',
      'distinguished_name = name',
      '[name]',
      '[authority]',
      'basicConstraints = critical, CA:TRUE, pathlen:0',
      'keyUsage = critical, keyCertSign, cRLSign',
      'subjectKeyIdentifier = hash',
      '[server]',
      'basicConstraints = critical, CA:FALSE',
      'keyUsage = critical, digitalSignature',
      // Brokers are clients of each other.
      'extendedKeyUsage = serverAuth, clientAuth',
      `subjectAltName = ${brokerNames.map((name) => `DNS:${name}`).join(', ')}, IP:127.0.0.1`,
      '',
    ].join('\n'),
  );
  const days = ['-days', String(VALID_DAYS)];
  const config = ['-config', at('openssl.cnf')];
  const authority = [
    '-subj',
    '/CN=conclave mesh',
    '-extensions',
    'authority',
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.crt'),
  ];
  openssl('req', '-x509', ...newKey, ...config, ...days, ...authority);
  openssl('req', ...newKey, ...config, '-subj', '/CN=nats', '-keyout', at('nats/server.key'), '-out', at('server.csr'));
  const signer = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-set_serial', `0x${randomBytes(16).toString('hex')}`];
  const extensions = ['-extfile', at('openssl.cnf'), '-extensions', 'server'];
  openssl('x509', '-req', '-in', at('server.csr'), ...signer, ...days, ...extensions, '-out', at('nats/server.crt'));
  for (const name of ['ca.key', 'server.csr', 'openssl.cnf']) rmSync(at(name));
  for (const name of ['ca.crt', 'nats/server.crt', 'nats/server.key']) chmodSync(at(name), 0o444);
}

/** The same as Secrets, under the names that deploy/kubernetes mounts: for `kubectl apply --filename`. */
function kubernetesObjects(folder: string): object {
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const labels = { 'app.kubernetes.io/part-of': 'conclave' };
  const metadata = (name: string): object => ({ name, namespace: 'conclave', labels });
  const secret = (name: string, stringData: Readonly<Record<string, string>>): object => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: metadata(name),
    type: 'Opaque',
    stringData,
  });
  const authority = { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata('conclave-ca') };
  return {
    apiVersion: 'v1',
    kind: 'List',
    items: [
      { ...authority, data: { 'ca.crt': read('ca.crt') } },
      secret('conclave-nats-server', { 'tls.crt': read('nats/server.crt'), 'tls.key': read('nats/server.key') }),
      secret('conclave-nats-auth', { 'auth.conf': read('nats/accounts.conf') }),
      ...people.map((name) => secret(`conclave-seed-${name}`, { 'nats.seed': read(`nats/seeds/${name}.seed`) })),
      ...agents.map((name) =>
        secret(`conclave-identities-${name}`, { 'nats.identities': read(`nats/identities/${name}`) }),
      ),
      secret('conclave-openai', { 'openai.key': read('openai.key') }),
    ],
  };
}
