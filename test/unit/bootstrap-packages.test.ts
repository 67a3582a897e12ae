import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FakeMachine, fakeMachine } from '../support/fake-machine.ts';

let machine: FakeMachine;

beforeEach(() => {
  machine = fakeMachine('package.json', 'package-lock.json', 'deploy/bootstrap/packages.sh');
});

afterEach(() => {
  machine.remove();
});

const install = (): ReturnType<FakeMachine['run']> => machine.run('sh', ['deploy/bootstrap/packages.sh']);
const calls = (): string[] => {
  const file = join(machine.folder, 'npm-calls');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
};

/** An npm whose `ci` and `install` are the given shell scripts. */
function npm(ci: string, plainInstall = 'exit 1'): void {
  const installed = 'mkdir -p node_modules; echo {} > node_modules/.package-lock.json';
  machine.command(
    'npm',
    `echo "$@" >> "$HOME/npm-calls"
     case "$1" in ci) ${ci};; *) ${plainInstall};; esac
     ${installed}`,
  );
}

test('packages are installed once per lock file, without install scripts', () => {
  npm(':');
  expect(install()).toMatchObject({ status: 0, stderr: '' });
  expect(install()).toMatchObject({ status: 0, stdout: '', stderr: '' });
  expect(calls()).toEqual([expect.stringMatching(/^ci .*--ignore-scripts/)]);

  machine.file('package-lock.json', '{}');
  expect(install().status).toBe(0);
  expect(calls()).toHaveLength(2);
});

test('removed packages are installed again', () => {
  npm(':');
  install();
  machine.run('rm', ['-r', 'node_modules']);
  install();
  expect(calls()).toHaveLength(2);
});

test("a lock file without other platforms' packages is installed as far as it goes, and stays as it is", () => {
  npm("echo 'npm error code EUSAGE'; echo 'npm error Missing: x@ from lock file'; exit 1", ':');
  expect(install()).toMatchObject({ status: 0, stderr: '' });
  expect(calls()).toEqual([
    expect.stringMatching(/^ci /),
    expect.stringMatching(/^install --no-save --ignore-scripts/),
  ]);
});

test.each([
  ['contradicts package.json', "echo 'npm error code EUSAGE'; echo 'npm error Invalid: lock file has x@1'; exit 1", 1],
  ['has another integrity than the registry', "echo 'npm error code EINTEGRITY'; echo 'npm error sha512-x'; exit 1", 1],
])('a lock file that %s is refused in one line', (_what, ci, tries) => {
  npm(ci, ':');
  const { status, stderr } = install();
  expect(status).toBe(1);
  expect(stderr.trim().split('\n')).toEqual([
    expect.stringMatching(/could not be installed \(npm error (Invalid|sha512)/),
  ]);
  expect(calls()).toHaveLength(tries);
  expect(install().status).toBe(1);
});
