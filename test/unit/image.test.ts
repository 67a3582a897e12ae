import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { imagesIn, pinnedImages, repositoryOf } from '../../deploy/engine/pins.ts';
import conclave from '../../package.json' with { type: 'json' };

const root = fileURLToPath(new URL('../../', import.meta.url));
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
const node = (script: string, args: readonly string[], cwd: string) =>
  spawnSync(process.execPath, [join(root, 'deploy', 'image', script), ...args], { cwd, encoding: 'utf8' });

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-image-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

describe('the images that it starts from', () => {
  test('are pinned by a whole version', () => {
    expect(pinnedImages().length).toBeGreaterThan(0);
    for (const image of pinnedImages()) expect(image).toMatch(/:v?\d+\.\d+\.\d+(-[a-z]+)*$/);
  });

  test('are found wherever they are named, stages and own images left out', () => {
    const text =
      'FROM a:1 AS one\nFROM one AS two\nFROM scratch\n  image: b/c:2 # why\n    image: "d:3"\n    image: conclave:1\n';
    expect(imagesIn(text)).toEqual(['a:1', 'b/c:2', 'd:3']);
    expect(repositoryOf('host:5000/b/c:2')).toBe('host:5000/b/c');
  });

  test('hold the Node that the project is tested with', () => {
    const pins: unknown = JSON.parse(readFileSync(join(root, 'deploy/bootstrap/node/package.json'), 'utf8'));
    const version = /"node-linux[^"]*":"(\d+\.\d+\.\d+)"/.exec(JSON.stringify(pins))?.[1];
    expect(pinnedImages()).toContain(`node:${version}-trixie-slim`);
  });
});

describe('the recipe', () => {
  test('ends as an unprivileged user, with a health check, labels and no shell to run it', () => {
    const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
    expect(last).toMatch(/^\nFROM scratch$/m);
    expect(last).toMatch(/^USER 65532:65532$/m);
    expect(last).toMatch(/^HEALTHCHECK [^]*CMD \["node"/m);
    expect(last).toMatch(/^ENTRYPOINT \["node"/m);
    expect(last).toContain('org.opencontainers.image.version');
    expect(last).not.toMatch(/^RUN/m);
    expect(dockerfile).toContain(`ARG VERSION=${conclave.version}`);
  });

  test('sees only what the image is made of', () => {
    const ignore = readFileSync(join(root, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => /^[^#]/.test(line));
    expect(ignore[0]).toBe('*');
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(
      ([, paths]) => paths?.split(' ') ?? [],
    );
    for (const path of copied) {
      expect(ignore.some((line) => line.startsWith('!') && path.startsWith(line.slice(1).replace(/\/$/, '')))).toBe(
        true,
      );
    }
  });
});

test('the production lock names every production package and no other', () => {
  for (const file of ['package.json', 'package-lock.json']) cpSync(join(root, file), join(folder, file));
  expect(node('production-lock.ts', [], folder)).toMatchObject({ status: 0, stderr: '' });
  const lock: { packages: Record<string, { dev?: boolean; os?: unknown }> } = JSON.parse(
    readFileSync(join(folder, 'package-lock.json'), 'utf8'),
  );
  const names = Object.keys(lock.packages);
  for (const name of Object.keys(conclave.dependencies)) expect(names).toContain(`node_modules/${name}`);
  for (const name of Object.keys(conclave.devDependencies)) expect(names).not.toContain(`node_modules/${name}`);
  // A package of one platform alone would make the image's contents depend on where it is built.
  expect(names.filter((name) => lock.packages[name]?.os !== undefined)).toEqual([]);
  expect(readFileSync(join(folder, 'package.json'), 'utf8')).not.toContain('devDependencies');
});

test('pruning keeps code and licences, and fails when a package has moved its files', () => {
  const put = (path: string): void => {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), '');
  };
  const packages = ['gpt-tokenizer/cjs', 'gpt-tokenizer/data', 'gpt-tokenizer/src', 'openai/src', 'zod/src'];
  for (const path of packages) put(`${path}/x.js`);
  for (const name of ['cl100k', 'p50k', 'r50k', 'o200k']) put(`gpt-tokenizer/esm/bpeRanks/${name}_base.js`);
  for (const path of ['a/index.js', 'a/index.d.ts', 'a/index.js.map', 'a/LICENSE.md', 'a/README.md', 'a/test/x.js'])
    put(path);
  for (const path of ['@b/docs/package.json', 'openai/a.js', 'openai/a.mjs', 'openai/b.js', 'zod/a.cjs', 'zod/a.js'])
    put(path);
  expect(node('prune.ts', ['.'], folder)).toMatchObject({ status: 0, stderr: '' });
  const kept = ['a/index.js', 'a/LICENSE.md', '@b/docs/package.json', 'openai/a.mjs', 'openai/b.js', 'zod/a.js'];
  const gone = ['a/index.d.ts', 'a/index.js.map', 'a/README.md', 'a/test', 'openai/a.js', 'zod/a.cjs', 'openai/src'];
  for (const path of [...kept, 'gpt-tokenizer/esm/bpeRanks/o200k_base.js'])
    expect(existsSync(join(folder, path))).toBe(true);
  for (const path of [...gone, ...packages]) expect(existsSync(join(folder, path))).toBe(false);
  expect(node('prune.ts', ['.'], folder).status).toBe(1);
});

test('the bill of materials names packages, Node and libraries, and is the same for the same contents', () => {
  const bill = { serialNumber: 'urn:uuid:1', metadata: { timestamp: 'now', tools: [] }, components: [{ name: 'zod' }] };
  writeFileSync(join(folder, 'npm.json'), JSON.stringify(bill));
  mkdirSync(join(folder, 'states'));
  writeFileSync(join(folder, 'states/libc6'), 'Package: libc6\nArchitecture: amd64\nVersion: 2.41-12+deb13u1\n');
  const { status, stdout } = node('sbom.ts', ['npm.json', 'states'], folder);
  expect(status).toBe(0);
  const written = JSON.parse(stdout);
  expect(written).not.toHaveProperty('serialNumber');
  expect(written.metadata).toEqual({ tools: [] });
  expect(written.components).toEqual([
    expect.objectContaining({ name: 'node', version: process.version.slice(1) }),
    expect.objectContaining({
      name: 'libc6',
      purl: expect.stringMatching(/^pkg:deb\/debian\/libc6@2\.41-12%2Bdeb13u1\?arch=amd64/),
    }),
    { name: 'zod' },
  ]);
});

test('a service is run by its name, and anything else is told the names', () => {
  const help = node('entry.ts', ['cli', '--version'], folder);
  expect(help).toMatchObject({ status: 0, stdout: `${conclave.version}\n` });
  for (const args of [[], ['nobody'], ['../echo'], ['']]) {
    const refused = node('entry.ts', args, folder);
    expect(refused).toMatchObject({ status: 2, stdout: '' });
    expect(refused.stderr).toMatch(/^expected a service as the command \(cli, coder, .*planner.*\), got ".*"\n$/);
  }
});
