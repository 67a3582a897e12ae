import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { optionsFrom } from '../../deploy/stack/options.ts';
import { ensureSecrets } from '../../deploy/stack/secrets.ts';
import { KubernetesObject, schemaProblems } from '../support/kubernetes-schema.ts';

let parent: string;
let folder: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'conclave-secrets-'));
  folder = join(parent, 'stack');
});

afterEach(() => rmSync(parent, { recursive: true }));

const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

describe('secrets', () => {
  test('are made once, and only the key of the model is written again', () => {
    ensureSecrets(folder, { openAiKey: 'sk-one' });
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted();
    const before = names.filter((name) => statSync(join(folder, name)).isFile()).map((name) => [name, read(name)]);
    ensureSecrets(folder, { openAiKey: 'sk-two' });
    const after = new Map(before.map(([name = '']) => [name, read(name)]));
    const changed = before.filter(([name = '', text]) => after.get(name) !== text).map(([name]) => name);
    expect(changed).toEqual(['kubernetes.json', 'openai.key']);
    expect(read('openai.key')).toBe('sk-two');
    expect(readdirSync(parent)).toEqual(['stack']);
  });

  test('are for their owner alone as a folder, and for every container as files', () => {
    ensureSecrets(folder, {});
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, 'seeds/planner')).mode & 0o777).toBe(0o444);
    expect(statSync(join(folder, 'nats/server.key')).mode & 0o777).toBe(0o444);
  });

  test('include a certificate for every name of a broker, signed by an authority whose key is gone', () => {
    ensureSecrets(folder, {});
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
    const keys = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('key'));
    expect(keys.toSorted()).toEqual(['nats/server.key', 'openai.key']);
  });

  test('give each user a key of its own, of which the brokers know the public half', () => {
    ensureSecrets(folder, {});
    const seeds = readdirSync(join(folder, 'seeds')).map((name) => read(join('seeds', name)));
    expect(new Set(seeds).size).toBe(seeds.length);
    const known = [...read('nats/auth.conf').matchAll(/nkey: (U[A-Z2-7]{55})\b/g)];
    expect(known.length).toBe(seeds.length);
    for (const seed of seeds) {
      expect(seed).toMatch(/^SU[A-Z2-7]{56}$/);
      expect(read('nats/auth.conf')).not.toContain(seed);
    }
  });

  test('are there for Kubernetes too, under the names that its Deployments mount', () => {
    ensureSecrets(folder, { openAiKey: 'sk-one' });
    const { items } = z.object({ items: z.array(KubernetesObject) }).parse(JSON.parse(read('kubernetes.json')));
    expect(schemaProblems(items)).toEqual([]);
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
    expect(optionsFrom({})).toMatchObject({ project: 'conclave', nodes: 3, profiles: ['offline'], secrets: {} });
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
