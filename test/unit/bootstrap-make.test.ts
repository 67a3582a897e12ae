import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FakeMachine, fakeMachine, whereIs } from '../support/fake-machine.ts';

let machine: FakeMachine;

beforeEach(() => {
  machine = fakeMachine('Makefile');
  machine.file('deploy/bootstrap/node.sh', '');
  machine.file('deploy/bootstrap/packages.sh', '');
  machine.file('deploy/bootstrap/main.ts', "process.stdout.write('broker\\n');");
  machine.file(
    'deploy/demo/main.ts',
    "process.stdout.write(JSON.stringify([process.env['GOAL'] ?? null, process.env['INPUT'] ?? null]));",
  );
  machine.command('node', `exec "${process.execPath}" "$@"`);
});

afterEach(() => {
  machine.remove();
});

const make = (args: readonly string[], env?: Readonly<Record<string, string>>): ReturnType<FakeMachine['run']> =>
  machine.run(whereIs('make'), ['--no-print-directory', ...args], env);

const hostile = 'costs $5 `touch pwned` $(shell touch pwned) "q" \'a\' ; touch pwned # \\ end';

test('what the user types reaches the demo as it is, and no shell', () => {
  for (const result of [
    make(['demo', `GOAL=${hostile}`, `INPUT=${hostile}`], { NATS_URL: 'nats://x' }),
    make(['demo'], { GOAL: hostile, INPUT: hostile, NATS_URL: 'nats://x' }),
  ]) {
    expect(result.stderr).toBe('');
    expect(JSON.parse(result.stdout)).toEqual([hostile, hostile]);
  }
  expect(machine.run('sh', ['-c', 'echo *']).stdout).not.toContain('pwned');
});

test('what the user does not give stays unset', () => {
  expect(JSON.parse(make(['demo'], { NATS_URL: 'nats://x' }).stdout)).toEqual([null, null]);
});

test('the demo looks for a broker only when it has no address of one', () => {
  expect(make(['demo']).stdout).toMatch(/^broker\n/);
  expect(make(['demo'], { NATS_URL: 'nats://x' }).stdout).not.toContain('broker');
});

test('help is the default and names every target that a person would call, with what it does', () => {
  const makefile = readFileSync(join(machine.folder, 'Makefile'), 'utf8');
  const targets = [...makefile.matchAll(/^([a-z][a-z-]*):/gm)].map((match) => match[1]);
  const internal = ['node', 'deps', 'prometheus', 'broker'];
  const { stdout } = make([]);
  const listed = stdout.split('\n').flatMap((line) => /^ {2}([a-z-]+) +\S/.exec(line)?.[1] ?? []);
  expect(listed).toEqual(targets.filter((target) => target !== undefined && !internal.includes(target)));
});

test('ci-long has a target for each suite it names', () => {
  const makefile = readFileSync(join(machine.folder, 'Makefile'), 'utf8');
  const suites = (/^LONG_SUITES :=(.*)$/m.exec(makefile)?.[1] ?? '').split(/\s+/).filter(Boolean);
  expect(suites.filter((suite) => !new RegExp(`^${suite}:`, 'm').test(makefile))).toEqual([]);
  expect(make(['ci-long', 'LONG_SUITES=']).status).toBe(0);
});
