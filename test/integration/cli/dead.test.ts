import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { encode } from '../../../shared/protocol/codec.ts';
import type { DeadLetter } from '../../../shared/protocol/dead.ts';
import { at, CREATED_AT, goalRecord, taskRecord } from '../../unit/cli/records.ts';
import { openTestMesh, type TestMesh } from './mesh.ts';

let mesh: TestMesh;
beforeEach(async () => {
  mesh = await openTestMesh();
  onTestFinished(() => mesh.close());
});

function letter(
  origin: DeadLetter['origin'],
  subject: string,
  body: unknown,
  more: Partial<DeadLetter> = {},
): DeadLetter {
  const payload = Buffer.from(encode(body)).toString('base64');
  return { origin, subject, reason: { code: 'invalid_schema', message: 'no good' }, payload, at: CREATED_AT, ...more };
}

const left = async () => (await mesh.messages(mesh.subjects.deadStream)).map(({ seq }) => seq);

describe('dead list', () => {
  it('prints the letters, oldest first', async () => {
    expect(await mesh.run(['dead'])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: `mesh "${mesh.name}" has no dead letters`,
    });
    const first = letter('goals', mesh.subjects.goalsSubmit, { description: '' });
    const second = letter(
      'message',
      mesh.subjects.message('a', 'b', 'c'),
      {},
      { goalId: 'g', taskId: 't', attempts: 2 },
    );
    await mesh.bury(first);
    await mesh.bury(second);
    await mesh.publish(mesh.subjects.dead('vote'), { strange: true });
    const { code, stdout, stderr } = await mesh.run(['dead', 'list', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual([
      { id: 1, ...first },
      { id: 2, ...second },
    ]);
    expect(stderr).toMatch(/^dead letter 3 does not fit the protocol: /);
    expect((await mesh.run(['dead'])).stdout).toMatch(/^ 2 +\S.* +message +g +t +2 +invalid_schema +no good$/m);
  });
});

describe('a choice of letters', () => {
  it('is listed, and redriven, by goal, cause and origin', async () => {
    const { subjects } = mesh;
    const submission = (description: string, more: Partial<DeadLetter>) =>
      mesh.bury(letter('goals', subjects.goalsSubmit, { description }, more));
    await submission('a', { goalId: 'g1' });
    await submission('b', { goalId: 'g2' });
    await submission('c', { goalId: 'g2', reason: { code: 'invalid_json', message: '' } });
    await mesh.bury(letter('tasks', subjects.taskShorthand('echo'), { description: 'd' }, { goalId: 'g2' }));
    const listed = async (...filter: string[]) => {
      const { stdout } = await mesh.run(['dead', 'list', '--json', ...filter]);
      return (JSON.parse(stdout) as { id: number }[]).map(({ id }) => id);
    };
    expect(await listed('--goal', 'g2')).toEqual([2, 3, 4]);
    expect(await listed('--goal', 'g2', '--origin', 'goals')).toEqual([2, 3]);
    expect(await listed('--code', 'invalid_json')).toEqual([3]);
    expect((await mesh.run(['dead', 'list', '--goal', 'nobody'])).stderr).toContain('has no such dead letters');
    const { code, stdout } = await mesh.run(['dead', 'redrive', '--goal', 'g2', '--code', 'invalid_schema']);
    expect([code, stdout.split('\n').length]).toEqual([0, 2]);
    expect(await left()).toEqual([1, 3]);
  });
});

describe('the letter of a failed task', () => {
  const error = { code: 'echo_failed', message: 'no' };
  const ended = { status: 'failed', error, finishedAt: at(1) } as const;
  const ofTask = (goalId: string, taskId: string) =>
    letter('tasks', mesh.subjects.readySubject('echo', goalId, taskId), { goalId, taskId }, { goalId, taskId });
  const bodies = async () => (await mesh.messages(mesh.subjects.goalsStream)).map((message) => message.json());

  it('makes its goal run again under an id of its own, with the same tasks, and once for all letters of the goal', async () => {
    await mesh.putGoal(goalRecord({ goalId: 'g', ...ended, budget: { usd: 1 }, input: { a: 1 } }));
    const task = { goalId: 'g', capability: 'echo', ...ended } as const;
    await mesh.putTask(taskRecord({ ...task, taskId: 'one', dependents: ['two'] }));
    await mesh.putTask(taskRecord({ ...task, taskId: 'two', dependencies: ['one'], maxAttempts: 7 }));
    await mesh.bury(ofTask('g', 'one'));
    await mesh.bury(ofTask('g', 'two'));
    const { code, stdout } = await mesh.run(['dead', 'redrive', '--id', '1']);
    expect([code, stdout]).toEqual([0, 'letter 1: goal g runs again as g-again']);
    const [body] = await bodies();
    expect(body).toMatchObject({
      goalId: 'g-again',
      budget: { usd: 1 },
      input: { a: 1 },
      tasks: [
        { taskId: 'one', capability: 'echo', dependencies: [] },
        { taskId: 'two', capability: 'echo', dependencies: ['one'], maxAttempts: 7 },
      ],
    });
    await mesh.putGoal(goalRecord({ goalId: 'g-again' }));
    expect((await mesh.run(['dead', 'redrive', '--all'])).code).toBe(0);
    expect(await bodies()).toHaveLength(1);
    expect(await left()).toEqual([]);
  });

  it('plans anew what was planned, and waits for the end of what still runs', async () => {
    await mesh.putGoal(goalRecord({ goalId: 'p', ...ended }));
    await mesh.putTask(taskRecord({ goalId: 'p', taskId: 'plan', capability: 'plan', ...ended }));
    await mesh.putGoal(goalRecord({ goalId: 'live' }));
    await mesh.bury(ofTask('p', 'plan'));
    await mesh.bury(ofTask('live', 't'));
    const { code, stderr } = await mesh.run(['dead', 'redrive', '--all']);
    expect([code, stderr]).toEqual([
      1,
      'letter 2 is kept: goal live goes on without task t; when it is over it can run again as a whole',
    ]);
    expect(await bodies()).toEqual([expect.objectContaining({ goalId: 'p-again' })]);
    expect((await bodies())[0]).not.toHaveProperty('tasks');
  });

  it('is kept when the letter holds only the head of what was sent', async () => {
    const payload = Buffer.alloc(525_000).toString('base64');
    await mesh.bury({ ...letter('goals', mesh.subjects.goalsSubmit, {}), payload });
    const { code, stderr } = await mesh.run(['dead', 'redrive', '--all']);
    expect([code, stderr]).toEqual([
      1,
      'letter 1 is kept: it was too large to be kept whole: whoever sent it must send it again',
    ]);
  });
});

describe('dead redrive', () => {
  it('puts submissions back on their subject and removes the letters', async () => {
    const { subjects } = mesh;
    const goal = await mesh.bury(letter('goals', subjects.goalsSubmit, { description: 'again' }));
    const task = await mesh.bury(letter('tasks', subjects.taskShorthand('echo'), { description: 'task again' }));
    const other = await mesh.bury(letter('goals', subjects.goalsSubmit, { description: 'not this one' }));
    const { code, stdout } = await mesh.run(['dead', 'redrive', '--id', String(goal), String(task)]);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      `letter ${goal} went to ${subjects.goalsSubmit} again`,
      `letter ${task} went to ${subjects.taskShorthand('echo')} again`,
    ]);
    const sent = await mesh.messages(subjects.goalsStream);
    expect(sent.map((message) => [message.subject, message.json()])).toEqual([
      [subjects.goalsSubmit, { description: 'again' }],
      [subjects.taskShorthand('echo'), { description: 'task again' }],
    ]);
    expect(await left()).toEqual([other]);
  });

  it('puts a letter back once, also when the attempt before died before it removed the letter', async () => {
    const { subjects } = mesh;
    const buried = letter('goals', subjects.goalsSubmit, { description: 'once' });
    const sequence = await mesh.bury(buried);
    // What such an attempt leaves behind.
    await mesh.publish(subjects.goalsSubmit, { description: 'once' }, `${subjects.deadStream}-${sequence}`);
    expect((await mesh.run(['dead', 'redrive', '--id', String(sequence)])).code).toBe(0);
    expect(await mesh.messages(subjects.goalsStream)).toHaveLength(1);
    expect(await left()).toEqual([]);
    // The same words in another letter are another goal.
    await mesh.bury(buried);
    await mesh.run(['dead', 'redrive', '--all']);
    expect(await mesh.messages(subjects.goalsStream)).toHaveLength(2);
  });

  it('puts a work item of a live task back', async () => {
    const { subjects } = mesh;
    await mesh.putTask(taskRecord({ goalId: 'g', taskId: 't', status: 'ready' }));
    const subject = subjects.readySubject('research', 'g', 't');
    await mesh.bury(letter('ready', subject, { goalId: 'g', taskId: 't' }, { goalId: 'g', taskId: 't' }));
    expect((await mesh.run(['dead', 'redrive', '--all'])).code).toBe(0);
    const item = (await mesh.messages(subjects.dagStream)).at(-1);
    expect([item?.subject, item?.json()]).toEqual([subject, { goalId: 'g', taskId: 't' }]);
  });

  it('keeps a letter that would change nothing, and says what to do instead', async () => {
    const { subjects } = mesh;
    await mesh.putGoal(
      goalRecord({ goalId: 'rejected', status: 'rejected', error: { code: 'x', message: 'y' }, finishedAt: at(1) }),
    );
    await mesh.putTask(
      taskRecord({ goalId: 'g', taskId: 't', status: 'failed', error: { code: 'x', message: 'y' }, finishedAt: at(1) }),
    );
    await mesh.bury(letter('goals', subjects.goalsSubmit, { goalId: 'rejected', description: 'x' }));
    await mesh.bury(letter('ready', subjects.readySubject('echo', 'g', 't'), {}, { goalId: 'g', taskId: 't' }));
    const { code, stderr } = await mesh.run(['dead', 'redrive', '--all']);
    expect(code).toBe(1);
    expect(stderr.split('\n')).toEqual([
      'letter 1 is kept: goal rejected is already rejected, so the same goalId would be ignored: submit it again under another one',
      'letter 2 is kept: task t of goal g is failed, and a terminal record never changes: submit the goal again under another goalId',
    ]);
    expect(await mesh.messages(subjects.goalsStream)).toEqual([]);
    expect(await left()).toEqual([1, 2]);
  });

  it('cancels again a goal that still runs, and no other', async () => {
    const { subjects } = mesh;
    await mesh.putGoal(goalRecord({ goalId: 'runs' }));
    await mesh.putGoal(goalRecord({ goalId: 'ended', status: 'completed', finishedAt: at(1), result: 1 }));
    await mesh.bury(letter('cancel', subjects.goalsCancel, { goalId: 'runs', reason: '' }));
    await mesh.bury(letter('cancel', subjects.goalsCancel, { goalId: 'ended', reason: '' }));
    expect((await mesh.run(['dead', 'redrive', '--all'])).code).toBe(1);
    expect(
      (await mesh.messages(subjects.goalsStream)).map((message) => message.json<{ goalId: string }>().goalId),
    ).toEqual(['runs']);
    expect(await left()).toEqual([2]);
  });

  it('sends no letter anywhere but where its origin can have come from', async () => {
    const { subjects } = mesh;
    const forged: readonly [DeadLetter['origin'], string][] = [
      ['goals', `$JS.API.STREAM.DELETE.${subjects.goalsStream}`],
      ['goals', subjects.goalsCancel],
      ['tasks', `${subjects.taskShorthand('a')}.b`],
      ['cancel', subjects.goalsSubmit],
      ['ready', subjects.dagSubject(subjects.taskKey('g', 't'))],
      ['ready', `${subjects.readySubject('a', 'b', 'c')}.d`],
      ['message', subjects.message('a', 'b', 'c')],
      ['vote', subjects.vote('review')],
    ];
    for (const [origin, subject] of forged) await mesh.bury(letter(origin, subject, {}));
    const heard: string[] = [];
    const leave = mesh.bus.subscribe('>', ({ subject }) => heard.push(subject));
    await mesh.bus.flush();
    const { code, stdout, stderr } = await mesh.run(['dead', 'redrive', '--all']);
    leave();
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr.match(/is kept: /g)).toHaveLength(forged.length);
    expect(heard.length).toBeGreaterThan(0);
    expect(forged.filter(([, subject]) => heard.includes(subject))).toEqual([]);
    expect(await left()).toHaveLength(forged.length);
  });

  it('sends nothing when one of the ids is unknown', async () => {
    const sequence = await mesh.bury(letter('goals', mesh.subjects.goalsSubmit, { description: 'x' }));
    const { code, stderr } = await mesh.run(['dead', 'redrive', '--id', String(sequence), '99']);
    expect([code, stderr]).toEqual([
      1,
      'conclave: there is no dead letter 99; nothing was sent (to see those that are there: conclave dead list)',
    ]);
    expect(await left()).toEqual([sequence]);
  });
});
