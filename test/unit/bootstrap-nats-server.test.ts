import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isAtLeast, searchNatsServer } from '../../deploy/bootstrap/find-nats-server.ts';
import { checksumOf } from '../../deploy/bootstrap/nats-server-sources.ts';
import { type FakeMachine, fakeMachine } from '../support/fake-machine.ts';

let machine: FakeMachine;

beforeEach(() => {
  machine = fakeMachine('package.json', 'deploy/bootstrap');
});

afterEach(() => {
  machine.remove();
});

const says = (version: string): string => `echo 'nats-server: v${version}'`;
const env = (more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
  PATH: join(machine.folder, 'bin'),
  ...more,
});
const fetched = (): string => join(machine.folder, '.cache/nats-server/bin/nats-server');

test.each([
  ['2.14.4', true],
  ['2.14.5', true],
  ['2.15.0', true],
  ['2.100.0', true],
  ['3.0.0', true],
  ['2.14.3', false],
  ['2.9.99', false],
  ['1.99.99', false],
  ['2.14.4-RC.1', false],
  ['2.15.0-preview.2', true],
])('%s is at least 2.14.4: %s', (version, expected) => {
  expect(isAtLeast(version, '2.14.4')).toBe(expected);
});

describe('finding a server', () => {
  test('one on PATH that fits is used', () => {
    const path = machine.command('nats-server', says('2.15.1'));
    expect(searchNatsServer(env(), machine.folder)).toMatchObject({
      found: { path, version: '2.15.1' },
      passedOver: [],
    });
  });

  test('an older one on PATH is passed over by name in favour of a fetched one', () => {
    const old = machine.command('nats-server', says('2.10.0'));
    machine.file('.cache/nats-server/bin/.keep', '');
    machine.run('cp', [machine.command('newer', says('2.15.1')), fetched()]);
    expect(searchNatsServer(env(), machine.folder)).toMatchObject({
      found: { path: fetched() },
      passedOver: [`${old} is 2.10.0, older than 2.14.4`],
    });
  });

  test('one that says no version, or does not start, is passed over', () => {
    const path = machine.command('nats-server', 'echo hello');
    expect(searchNatsServer(env(), machine.folder)).toEqual({ passedOver: [`${path} does not say its version`] });
  });

  test('NATS_SERVER_BIN comes first, and is refused instead of replaced when it does not fit', () => {
    machine.command('nats-server', says('2.15.1'));
    const wished = machine.command('wished', says('2.14.4'));
    expect(searchNatsServer(env({ NATS_SERVER_BIN: wished }), machine.folder).found?.path).toBe(wished);

    const old = machine.command('old', says('2.14.3'));
    const message = `NATS_SERVER_BIN: ${old} is 2.14.3, older than 2.14.4: set it to a nats-server 2.14.4 or newer, or unset it.`;
    expect(() => searchNatsServer(env({ NATS_SERVER_BIN: old }), machine.folder)).toThrow(message);
    expect(() => searchNatsServer(env({ NATS_SERVER_BIN: '/no/such/file' }), machine.folder)).toThrow(/does not run/);
  });
});

describe('fetching a server', () => {
  const bootstrap = (): ReturnType<FakeMachine['run']> => machine.run(process.execPath, ['deploy/bootstrap/main.ts']);
  /** A container engine whose image holds a server of this version. */
  const dockerWith = (version: string): string =>
    machine.command(
      'docker',
      `case "$1" in
         create) echo abc;;
         cp) printf '#!/bin/sh\\n${says(version).replaceAll("'", '')}\\n' > "$3";;
       esac`,
    );

  test('nothing is fetched when one fits', () => {
    machine.command('nats-server', says('2.15.1'));
    dockerWith('2.15.1');
    expect(bootstrap()).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(existsSync(fetched())).toBe(false);
  });

  test('the first source that brings one that fits is used, once', () => {
    const old = machine.command('nats-server', says('2.10.0'));
    machine.command('apt-get', "echo 'E: no network' >&2; exit 100");
    machine.command('dpkg', 'echo amd64');
    dockerWith('2.15.1');

    const first = bootstrap();
    expect(first).toMatchObject({ status: 0, stderr: `Passed over: ${old} is 2.10.0, older than 2.14.4.\n` });
    expect(first.stdout).toContain('nats-server 2.15.1 (docker)');
    expect(machine.run(fetched(), ['--version']).stdout).toContain('2.15.1');
    expect(bootstrap()).toMatchObject({ status: 0, stdout: '' });
  });

  test('an older server from a source is not used; each reason and what to do stand in one line', () => {
    machine.command('apt-get', "echo 'E: no network' >&2; exit 100");
    machine.command('dpkg', 'echo amd64');
    dockerWith('2.14.3');
    machine.command('curl', "echo 'curl: (6) no host' >&2; exit 6");
    machine.command('tar', 'exit 1');

    const { status, stderr } = bootstrap();

    expect(status).toBe(1);
    expect(stderr.trim().split('\n')).toEqual([expect.stringContaining('older than 2.14.4')]);
    expect(stderr).toMatch(/apt: .*; docker: .*; release: curl .*no host/);
    expect(stderr).toContain('https://github.com/nats-io/nats-server/releases');
    expect(existsSync(fetched())).toBe(false);
  });

  test('a machine with no source at all is told what to install', () => {
    const { status, stderr } = bootstrap();
    expect(status).toBe(1);
    expect(stderr).toMatch(/no source on this machine.*install nats-server 2\.14\.4 or newer by hand/);
  });

  test('a container engine that does not answer is no source', () => {
    machine.command('docker', 'echo "Cannot connect" >&2; exit 1');
    expect(bootstrap().stderr).toMatch(/docker: docker info: Cannot connect/);
  });
});

test('a checksum is taken for exactly the file that is named', () => {
  const sum = 'a'.repeat(64);
  const sums = `${'b'.repeat(64)}  other.tar.gz\n${sum} *nats.tar.gz\nshort  nats.zip\n`;
  expect(checksumOf('nats.tar.gz', sums)).toBe(sum);
  expect(checksumOf('nats.zip', sums)).toBeUndefined();
  expect(checksumOf('tar.gz', sums)).toBeUndefined();
});

test('the pinned Node packages have no install script and a pinned integrity, and name no registry', () => {
  const text = readFileSync(join(machine.folder, 'deploy/bootstrap/node/package-lock.json'), 'utf8');
  const { packages } = JSON.parse(text);
  const pins = Object.entries<{ integrity?: string; hasInstallScript?: boolean }>(packages).filter(
    ([path]) => path !== '',
  );
  expect(pins).toHaveLength(4);
  for (const [path, pin] of pins) expect(pin, path).toMatchObject({ integrity: expect.stringMatching(/^sha512-/) });
  expect(text).not.toMatch(/hasInstallScript|https?:/);
});
