import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { optionsFrom } from '../../deploy/stack/options.ts';
import { ensureSecrets } from '../../deploy/stack/secrets.ts';
import { KubernetesObject, schemaProblems } from '../support/kubernetes-schema.ts';

const parent = mkdtempSync(join(tmpdir(), 'conclave-secrets-'));
const folder = join(parent, 'stack');

beforeAll(() => ensureSecrets(folder, { openAiKey: 'sk-one' }), 60_000);

afterAll(() => rmSync(parent, { recursive: true }));

const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
const all = (): Map<string, string> =>
  new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => statSync(join(folder, name)).isFile())
      .map((name) => [name, read(name)]),
  );
const changedSince = (before: ReadonlyMap<string, string>): string[] =>
  [...all()].filter(([name, text]) => before.get(name) !== text).map(([name]) => name);

describe('secrets', () => {
  test('are made once, but for the key of the model and what each user may do, which an upgrade may change', {
    timeout: 60_000,
  }, async () => {
    const before = all();
    chmodSync(join(folder, 'nats/accounts.conf'), 0o644);
    writeFileSync(join(folder, 'nats/accounts.conf'), '# of an older version\n');
    await ensureSecrets(folder, { openAiKey: 'sk-two' });
    expect(changedSince(before).toSorted()).toEqual(['kubernetes.json', 'openai.key']);
    expect(read('openai.key')).toBe('sk-two');
    expect(readdirSync(parent)).toEqual(['stack']);
  });

  test('are for their owner alone as a folder, and for every container as files', () => {
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    for (const name of ['nats/identities/planner', 'nats/seeds/admin.seed', 'nats/server.key', 'nats/accounts.conf']) {
      expect(statSync(join(folder, name)).mode & 0o777, name).toBe(0o444);
    }
  });

  test('include a certificate for every name of a broker, signed by an authority whose key is gone', () => {
    const authority = new X509Certificate(read('ca.crt'));
    const server = new X509Certificate(read('nats/server.crt'));
    expect(server.verify(authority.publicKey)).toBe(true);
    expect(authority.ca).toBe(true);
    expect(server.ca).toBe(false);
    for (const name of ['nats-1', 'nats-3', 'nats.conclave.svc', 'nats-2.nats-headless']) {
      expect(server.checkHost(name), name).toBe(name);
    }
    expect(server.checkHost('elsewhere')).toBeUndefined();
    expect(server.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect([...all().keys()].filter((name) => name.endsWith('key')).toSorted()).toEqual([
      'nats/server.key',
      'openai.key',
    ]);
  });

  test('give each user a key of its own, of which the brokers know the public half', () => {
    const seeds = [...all()].filter(([name]) => name.endsWith('.seed')).map(([, seed]) => seed.trim());
    expect(new Set(seeds).size).toBe(seeds.length);
    const accounts = read('nats/accounts.conf');
    const known = [...accounts.matchAll(/nkey: (U[A-Z2-7]{55})\b/g)];
    expect(known.length).toBe(seeds.length);
    for (const seed of seeds) expect(accounts).not.toContain(seed);
    expect(read('nats/identities/coder')).toMatch(/^(coder-\d+ SU[A-Z2-7]{56}\n){24}$/);
  });

  test('replace the key that they are asked to, and no other', { timeout: 60_000 }, async () => {
    const before = all();
    await ensureSecrets(folder, { openAiKey: read('openai.key'), rotate: ['coder-2'] });
    expect(changedSince(before).toSorted()).toEqual([
      'kubernetes.json',
      'nats/accounts.conf',
      'nats/identities/coder',
      'nats/seeds/coder-2.seed',
    ]);
    const lines = (text: string): string[] => text.trim().split('\n');
    const after = lines(read('nats/identities/coder'));
    expect(lines(before.get('nats/identities/coder') ?? '').filter((line) => !after.includes(line)).length).toBe(1);
  });

  test('are there for Kubernetes too, under the names that its Deployments mount, and small enough for it', () => {
    const { items } = z.object({ items: z.array(KubernetesObject) }).parse(JSON.parse(read('kubernetes.json')));
    expect(schemaProblems(items)).toEqual([]);
    for (const item of items) expect(JSON.stringify(item).length, item.metadata.name).toBeLessThan(1_000_000);
    const names = items.map(({ metadata }) => metadata.name);
    const yaml = ['planner', 'researcher', 'coder', 'reviewer', 'echo', 'init', 'every-model-user', 'every-agent']
      .map((name) => readFileSync(new URL(`../../deploy/kubernetes/base/${name}.yaml`, import.meta.url), 'utf8'))
      .concat(readFileSync(new URL('../../deploy/kubernetes/nats-values.yaml', import.meta.url), 'utf8'))
      .join('\n');
    const mounted = [...yaml.matchAll(/(?:secretName|configMapName|configMap: \{ name): ([\w-]+)/g)].map(
      ([, name]) => name,
    );
    expect(mounted.length).toBeGreaterThan(8);
    expect([...new Set(mounted)].filter((name) => name !== undefined && !names.includes(name))).toEqual([]);
  });
});

describe('options of the stack', () => {
  test('are three nodes and the offline model, unless told otherwise', () => {
    expect(optionsFrom({})).toMatchObject({
      project: 'conclave',
      nodes: 3,
      profiles: ['offline'],
      secrets: { rotate: [] },
    });
    const real = optionsFrom({
      NODES: '1',
      OPENAI_BASE_URL: 'https://x.example/v1',
      OPENAI_API_KEY: 'sk-x',
      TRACING: '1',
    });
    expect(real).toMatchObject({ nodes: 1, profiles: ['tracing'], secrets: { openAiKey: 'sk-x' } });
    // The key travels by file only.
    expect(JSON.stringify(real.variables)).not.toContain('sk-x');
  });

  test.each([
    ['NODES', '2'],
    ['CONCLAVE_PROJECT', '../x'],
  ])('refuse %s=%s in a line that names it', (name, value) => {
    expect(() => optionsFrom({ [name]: value })).toThrow(new RegExp(`^${name}: expected .*, got "${value}"$`));
  });
});
