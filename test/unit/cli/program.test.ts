import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { runCommandLine } from '../../../services/cli/program.ts';
import { GoalStatus, Pattern } from '../../../shared/protocol/goal.ts';
import { VoteMethod } from '../../../shared/protocol/vote.ts';
import { fakeTerminal } from './fake-terminal.ts';

// Nothing here may reach a broker: what is wrong is found before anybody is asked.
const NOBODY = ['--url', 'nats://127.0.0.1:1'];

const folder = mkdtempSync(join(tmpdir(), 'conclave-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.unstubAllEnvs());

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function run(argv: readonly string[], stdin?: Uint8Array) {
  const terminal = fakeTerminal(stdin === undefined ? {} : { stdin });
  const code = await runCommandLine([...NOBODY, ...argv], terminal);
  return { code, stdout: terminal.stdout.join('\n'), stderr: terminal.stderr.join('\n') };
}

describe('the command line', () => {
  it('has every command of the protocol page', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    for (const command of [
      'submit',
      'watch',
      'show',
      'goals',
      'agents',
      'cancel',
      'log',
      'vote',
      'dead',
      'cost',
      'admin',
    ]) {
      expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
    }
  });

  it('offers what the schemas accept', async () => {
    const choices = async (command: string) => (await run([command, '--help'])).stdout.replace(/\s+/g, ' ');
    const quoted = (values: readonly string[]) => `choices: ${values.map((value) => `"${value}"`).join(', ')}`;
    expect(await choices('submit')).toContain(quoted(Pattern.options));
    expect(await choices('goals')).toContain(quoted(GoalStatus.options));
    expect(await choices('vote')).toContain(quoted(VoteMethod.options));
  });

  it('tells its version', async () => {
    const { code, stdout } = await run(['--version']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it.each([
    ['no command', []],
    ['an unknown command', ['conquer']],
    ['an unknown option', ['goals', '--fast']],
    ['no description', ['submit']],
    ['an argument too many', ['show', 'a', 'b', 'c']],
    ['an empty description', ['submit', '']],
    ['an unknown pattern', ['submit', 'x', '--pattern', 'swarm']],
    ['a budget that is no number', ['submit', 'x', '--budget-usd', '1e3']],
    ['a negative budget', ['submit', 'x', '--budget-usd=-1']],
    ['a fraction of a token', ['submit', 'x', '--budget-tokens', '1.5']],
    ['no time at all', ['submit', 'x', '--wall-ms', '0']],
    ['a goal without a deadline', ['submit', 'x', '--wall-ms', '99999999999999']],
    ['metadata without a value', ['submit', 'x', '--metadata', 'team']],
    ['a goalId that is no id', ['submit', 'x', '--goal-id', 'a.b']],
    ['a wish for a time limit without waiting', ['submit', 'x', '--timeout-ms', '5']],
    ['a log of no goal', ['log']],
    ['a backup that is not there', ['admin', 'restore', '/no/such/folder']],
    ['an option of another method', ['vote', 'x', '--options', 'a,b', '--electorate', 'review', '--weights', 'a=1']],
    ['two readers of one standard input', ['submit', 'x', '--input', '-', '--tasks', '-']],
    ['a goalId with a wildcard', ['watch', '*']],
    ['a taskId with a dot', ['show', 'goal', 'a.b']],
    ['an unknown status', ['goals', '--status', 'done']],
    ['a limit of none', ['goals', '--limit', '0']],
    ['JSON of a goal that nobody waited for', ['cancel', 'g', '--json']],
    ['a reason that is too long', ['cancel', 'g', '--reason', 'x'.repeat(4_097)]],
    ['a vote without options', ['vote', 'x', '--electorate', 'review']],
    ['a vote without voters', ['vote', 'x', '--options', 'a,b']],
    ['an option twice', ['vote', 'x', '--options', 'a,a', '--electorate', 'review']],
    ['an electorate that is no id', ['vote', 'x', '--options', 'a,b', '--electorate', 'a b']],
    ['a threshold above all', ['vote', 'x', '--options', 'a', '--electorate', 'r', '--threshold', '1.1']],
    ['a negative weight', ['vote', 'x', '--options', 'a', '--electorate', 'r', '--weights', 'a=-1']],
    ['an unknown way with dead letters', ['dead', 'bury']],
    ['a redrive of nothing', ['dead', 'redrive']],
    ['a redrive of one and all', ['dead', 'redrive', '--all', '--id', '1']],
    ['a list of one letter', ['dead', 'list', '--id', '1']],
    ['no replicas', ['admin', 'init', '--replicas', '0']],
    ['a mesh that is no id', ['--mesh', 'a.b', 'goals']],
    ['a broker that is no address', ['--url', 'http://127.0.0.1:4222', 'goals']],
  ])('ends with 2 for %s, and says what was expected', async (_, argv) => {
    const { code, stdout, stderr } = await run(argv);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).not.toBe('');
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it('takes its settings from the environment, the command line first', async () => {
    vi.stubEnv('MESH', 'not an id');
    expect((await run(['goals'])).stderr).toContain('"not an id"');
    expect((await run(['--mesh', 'also.none', 'goals'])).stderr).toContain('"also.none"');
    vi.stubEnv('MESH', 'fine');
    vi.stubEnv('NATS_CREDS', join(folder, 'absent.creds'));
    const { code, stderr } = await run(['goals']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^conclave: NATS_CREDS: .*absent\.creds"$/);
    for (const name of ['NATS_CA', 'NATS_NKEY_SEED_FILE']) {
      vi.unstubAllEnvs();
      vi.stubEnv(name, join(folder, 'absent.pem'));
      const wrong = await run(['goals']);
      expect(wrong.code).toBe(2);
      expect(wrong.stderr).toMatch(new RegExp(`^conclave: ${name}: .*absent\\.pem"?$`));
    }
  });

  it('takes a variable that is set to nothing for one that is not set', async () => {
    for (const name of ['NATS_URL', 'MESH', 'NATS_CREDS', 'NATS_CA']) vi.stubEnv(name, '');
    vi.stubEnv('NATS_NKEY_SEED', 'SUnone');
    const { code, stderr } = await run(['goals']);
    expect(code).toBe(2);
    // The only one that is wrong; what is secret is not repeated.
    expect(stderr).toBe(
      'conclave: NATS_NKEY_SEED: expected a user seed: SU and 56 characters A-Z 2-7, got something else',
    );
  });

  it('makes what it was given safe before it repeats it', async () => {
    const { stderr } = await run(['goals', '--status', '\u001b[2J']);
    expect(stderr).toContain('\\u001b[2J');
    expect(stderr).not.toContain('\u001b');
  });

  it('shows the stack of an error only when asked to', async () => {
    const absent = ['submit', 'x', '--input', join(folder, 'absent.txt')];
    expect((await run(absent)).stderr.split('\n')).toHaveLength(1);
    vi.stubEnv('LOG_LEVEL', 'debug');
    expect((await run(absent)).stderr).toMatch(/^\s+at .*\n[^]*caused by/m);
  });
});

describe('files of submit', () => {
  it.each([
    ['a file that is not there', () => join(folder, 'absent.txt'), /absent\.txt: expected a file that can be read/],
    ['a folder', () => folder, /expected a file that can be read/],
    ['a .json file of something else', () => file('a.json', '{'), /a\.json: expected one JSON value/],
    ['bytes that are no text', () => file('a.bin', new Uint8Array([0xff, 0xfe, 0])), /a\.bin: expected text in UTF-8/],
    [
      'JSON that is nested without end',
      () => file('deep.json', '['.repeat(5_000) + ']'.repeat(5_000)),
      /deep\.json: .*levels of nesting/,
    ],
  ])('ends with 2 for %s as input', async (_, path, message) => {
    const { code, stderr } = await run(['submit', 'x', '--input', path()]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  it.each([
    ['no JSON', 'x', /expected one JSON value/],
    ['no list', '{"tasks": 1}', /expected a JSON array of tasks/],
    ['a number', '1', /expected a JSON array of tasks/],
    ['no task at all', '[]', /tasks:/],
    ['a task without a capability', '[{"taskId": "a"}]', /tasks\.0\.capability/],
    ['a task whose id is no id', '[{"taskId": "a b", "capability": "c"}]', /tasks\.0\.taskId/],
  ])('ends with 2 for tasks that are %s, and says where', async (_, content, message) => {
    const { code, stderr } = await run(['submit', 'x', '--tasks', file('tasks.json', content)]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
