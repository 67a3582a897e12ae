import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { GoalSubmission } from '../../../shared/protocol/goal.ts';
import { at, goalRecord, presence } from '../../unit/cli/records.ts';
import { fakeTerminal } from '../../unit/cli/fake-terminal.ts';
import { openTestMesh, parsed, type TestMesh } from './mesh.ts';

let mesh: TestMesh;
const folder = mkdtempSync(join(tmpdir(), 'conclave-cli-submit-'));
beforeAll(async () => {
  mesh = await openTestMesh();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await mesh.close();
});

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function submitted(): Promise<GoalSubmission> {
  const last = (await mesh.messages(mesh.subjects.goalsStream)).at(-1);
  expect(last?.subject).toBe(mesh.subjects.goalsSubmit);
  if (last === undefined) throw new Error('nothing was submitted');
  return last.json<GoalSubmission>();
}

describe('submit', () => {
  it('prints the goalId that the receipt gives', async () => {
    const { code, stdout, stderr } = await mesh.run(['submit', 'Brief this']);
    const { state } = await mesh.jsm.streams.info(mesh.subjects.goalsStream);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `g-${state.last_seq}`, stderr: '' });
    expect(await submitted()).toMatchObject({ description: 'Brief this' });
  });

  it('says what every option says', async () => {
    const tasks = [
      { taskId: 'a', capability: 'echo', input: 1 },
      { taskId: 'b', capability: 'echo', dependencies: ['a'] },
    ];
    const words = [
      'submit ALL --goal-id all-of-it --pattern peer-to-peer --on-task-failure continue --budget-usd 0.5 --budget-tokens 100',
      '--budget-messages 7 --wall-ms 5000 --metadata team=blue --metadata x=1=2 --input INPUT --tasks TASKS',
    ];
    const values: Readonly<Record<string, string>> = {
      ALL: 'All of it',
      INPUT: file('input.txt', 'words'),
      TASKS: file('tasks.json', JSON.stringify(tasks)),
    };
    const { code, stdout } = await mesh.run(
      words
        .join(' ')
        .split(' ')
        .map((word) => values[word] ?? word),
    );
    expect([code, stdout]).toEqual([0, 'all-of-it']);
    expect(await submitted()).toMatchObject({
      goalId: 'all-of-it',
      description: 'All of it',
      pattern: 'peer-to-peer',
      onTaskFailure: 'continue',
      input: { text: 'words' },
      tasks,
      budget: { usd: 0.5, tokens: 100, messages: 7, wallMs: 5_000 },
      metadata: { team: 'blue', x: '1=2' },
    });
  });

  it('prints the receipt as JSON', async () => {
    const { stdout } = await mesh.run(['submit', 'x', '--json']);
    const receipt = JSON.parse(stdout);
    expect(receipt).toEqual({ goalId: `g-${receipt.sequence}`, sequence: receipt.sequence });
  });

  it('puts inputs over 512 KiB, its own and those of tasks, into the object bucket', async () => {
    const text = randomBytes(300_000).toString('hex');
    const tasks = file('large.json', JSON.stringify([{ taskId: 'a', capability: 'echo', input: [text] }]));
    expect((await mesh.run(['submit', 'x', '--input', file('large.txt', text), '--tasks', tasks])).code).toBe(0);
    const { input, tasks: sent } = await submitted();
    const stored = async (reference: unknown) => {
      const bytes = await mesh.blobs.get((reference as { $blob: string }).$blob);
      return parsed(z.json(), Buffer.from(bytes ?? []).toString());
    };
    expect(await stored(input)).toEqual({ text });
    expect(await stored(sent?.[0]?.input)).toEqual([text]);
  });

  it('keeps an input of exactly 512 KiB in the message', async () => {
    const fits = JSON.stringify('x'.repeat(512 * 1024 - 2));
    await mesh.run(['submit', 'x', '--input', file('fits.json', fits)]);
    expect((await submitted()).input).toBe(JSON.parse(fits));
    await mesh.run(['submit', 'x', '--input', file('fits-not.json', JSON.stringify('x'.repeat(512 * 1024 - 1)))]);
    expect((await submitted()).input).toEqual({ $blob: expect.any(String) });
  });

  it('ends with 2 when the whole is more than the broker takes', async () => {
    const before = (await mesh.jsm.streams.info(mesh.subjects.goalsStream)).state.last_seq;
    const tasks = Array.from({ length: 3 }, (_, n) => ({
      taskId: `t${n}`,
      capability: 'echo',
      input: 'x'.repeat(400_000),
    }));
    const { code, stderr } = await mesh.run(['submit', 'x', '--tasks', file('much.json', JSON.stringify(tasks))]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/the submission is \d+ bytes and this broker takes 1048576/);
    expect((await mesh.jsm.streams.info(mesh.subjects.goalsStream)).state.last_seq).toBe(before);
  });

  it('says that a goal of that id is there already', async () => {
    await mesh.putGoal(goalRecord({ goalId: 'twice' }));
    const { code, stdout, stderr } = await mesh.run(['submit', 'x', '--goal-id', 'twice']);
    expect([code, stdout]).toEqual([0, 'twice']);
    expect(stderr).toBe('goal twice is there already, running: this submission will be ignored');
  });
});

describe('submit --wait', () => {
  const ended = (goalId: string, fields: Readonly<Record<string, unknown>>) =>
    mesh.putGoal(goalRecord({ goalId, finishedAt: at(5_000), ...fields }));

  /** Submits, and ends the goal as an agent would once it is asked for. */
  async function waitFor(fields: Readonly<Record<string, unknown>>, args: readonly string[] = []) {
    const terminal = fakeTerminal({ now: Date.now });
    const running = mesh.run(['submit', 'x', '--wait', ...args], {
      ...terminal,
      note(line) {
        terminal.note(line);
        const goalId = /^submitted goal (\S+)$/.exec(line)?.[1];
        if (goalId !== undefined) void mesh.putGoal(goalRecord({ goalId })).then(() => ended(goalId, fields));
      },
    });
    return running;
  }

  it('prints the result, and nothing else, on stdout', async () => {
    const { code, stdout, stderr } = await waitFor({ status: 'completed', result: { answer: 42 } });
    expect([code, stdout]).toEqual([0, '{\n  "answer": 42\n}']);
    expect(stderr).toMatch(/^submitted goal g-\d+\ngoal g-\d+ {2}completed {2}1 of 3 tasks {2}5\.0 s {2}\$0\.0012$/);
  });

  it('prints a result that is text as text', async () => {
    expect((await waitFor({ status: 'completed', result: 'line 1\nline 2' })).stdout).toBe('line 1\nline 2');
  });

  it('fetches a result that was too large for its record', async () => {
    const $blob = await mesh.blobs.put(Buffer.from(JSON.stringify('all of it')));
    expect((await waitFor({ status: 'completed', result: { $blob } })).stdout).toBe('all of it');
  });

  it('prints the record as JSON', async () => {
    const { stdout } = await waitFor({ status: 'completed', result: 1 }, ['--json']);
    expect(JSON.parse(stdout)).toMatchObject({ status: 'completed', result: 1, tasks: { total: 3 } });
  });

  it.each(['failed', 'cancelled', 'rejected'])('ends with 1 for a goal that is %s, and says why', async (status) => {
    const { code, stderr } = await waitFor({ status, error: { code: 'some_code', message: 'some reason\u001b[2J' } });
    expect(code).toBe(1);
    expect(stderr).toContain(status);
    expect(stderr).toContain('some_code: some reason\\u001b[2J');
  });

  it('ends with 124 when the time is up, and says how to look again', async () => {
    const { code, stdout, stderr } = await mesh.run(['submit', 'x', '--wait', '--timeout-ms', '1']);
    expect([code, stdout]).toEqual([124, '']);
    expect(stderr).toMatch(
      /waited 1 ms; goal g-\d+ is not accepted yet and goes on \(to look: conclave watch g-\d+\)$/,
    );
  });

  it('ends with 130 at Ctrl-C, and says how to end the goal too', async () => {
    const terminal = fakeTerminal({ now: Date.now });
    const running = mesh.run(['submit', 'x', '--wait'], {
      ...terminal,
      note(line) {
        terminal.note(line);
        if (line.startsWith('submitted')) terminal.interrupt();
      },
    });
    const { code, stderr } = await running;
    expect(code).toBe(130);
    expect(stderr).toMatch(/goes on \(to end it: conclave cancel g-\d+\)$/);
  });

  it('says that nobody is there to accept the goal', async () => {
    const terminal = fakeTerminal({ now: Date.now });
    await mesh.run(['submit', 'x', '--wait'], {
      ...terminal,
      note(line) {
        terminal.note(line);
        if (line.includes('no agent is present')) terminal.interrupt();
      },
    });
    expect(terminal.stderr).toContain('no agent is present; the goal waits for one');
    await mesh.join(presence({ startedAt: new Date().toISOString() }));
  });
});
