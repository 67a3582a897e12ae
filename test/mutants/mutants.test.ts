/**
 * A simulation that finds nothing proves something only if it would have found it. So each guard of I1, I2 and I3 (and a few more) is taken out of a copy of
 * the sources, and the same schedules must turn red. Where a second guard stands behind the first and would hide its loss, both are taken out.
 */
import { describe, expect, it } from 'vitest';
import { type Edit, simulateMutant } from '../support/sim-mutants.ts';

const SCHEDULES = 600;

const ATTEMPT = 'shared/runtime/engine/attempt.ts';
const CLOSING = 'shared/runtime/engine/closing.ts';
const LEDGERS = 'shared/runtime/engine/ledgers.ts';
const CLAIM = 'shared/runtime/engine/claim.ts';
const JOINS = 'shared/runtime/engine/joins.ts';
const PROPAGATE = 'shared/runtime/engine/propagate.ts';
const RECORDS = 'shared/runtime/engine/records.ts';
const WORKER = 'shared/runtime/engine/worker.ts';
const MACHINE = 'shared/core/task-machine.ts';
const GOAL_MACHINE = 'shared/core/goal-machine.ts';
const BUDGET = 'shared/core/budget.ts';
const REVISIONS = 'shared/runtime/engine/revisions.ts';
const GROWTH = 'shared/runtime/engine/growth.ts';
const REPAIR = 'shared/core/repair.ts';
const PEER = 'shared/core/peer.ts';
const REVISION = 'shared/core/revision.ts';
const REVIEW = 'shared/runtime/engine/review.ts';

const startsWithItsOnlyDependency: Edit = {
  file: PROPAGATE,
  from: ' || !mayStart(dependent.record.dependencies, isThis)',
  to: '',
};

interface Mutant {
  readonly guard: string;
  readonly name: string;
  readonly finds: RegExp;
  readonly edits: readonly Edit[];
}

const MUTANTS: readonly Mutant[] = [
  {
    guard: 'I7: whoever takes a task over finds what was decided on its result',
    name: 'standing-decision',
    finds: /I7 one result was decided/,
    edits: [
      {
        file: REVIEW,
        from: 'fresh ? { series: 1 } : await standingOf(deps, vote, roundIdOf)',
        to: 'fresh ? { series: 1 } : { series: task.attempt }',
      },
    ],
  },
  {
    guard: 'I7: only an approval completes a task that has voters',
    name: 'approval',
    finds: /I7 .* its voters never approved/,
    edits: [
      {
        file: ATTEMPT,
        from: "if (verdict.kind === 'approved') {",
        to: "if (verdict.kind !== 'rejected') {",
      },
    ],
  },
  {
    guard: 'I1: the compare-and-set on task records',
    name: 'task-cas',
    finds: /I[13] /,
    edits: [{ file: RECORDS, from: 'data: encode(task), expect }', to: 'data: encode(task) }' }],
  },
  {
    guard: 'I1: a terminal task takes no event',
    name: 'terminal-task',
    finds: /I1 /,
    edits: [{ file: MACHINE, from: "  if (isTerminalTask(task)) return refuse('done', task, event);\n", to: '' }],
  },
  {
    guard: 'I2: a transition releases only what waits for its task alone',
    name: 'release-together',
    finds: /I2 .* was released/,
    edits: [startsWithItsOnlyDependency],
  },
  {
    guard: 'I2: a join is released only when every dependency completed',
    name: 'join-look',
    finds: /I2 .* was released/,
    edits: [
      {
        file: JOINS,
        from: '    const blocked = goal.blockedOn.get(name);\n',
        to: "    if (name !== '#goal') return true;\n    const blocked = goal.blockedOn.get(name);\n",
      },
    ],
  },
  {
    guard: 'I2: no agent starts what its dependencies forbid, whatever was released',
    name: 'worker-dependencies',
    finds: /I2 .* is (in_progress|completed)/,
    edits: [
      startsWithItsOnlyDependency,
      {
        file: WORKER,
        from: 'return dependenciesDone(task, statusOf) ? found : undefined;',
        to: 'dependenciesDone(task, statusOf);\n    return found;',
      },
    ],
  },
  {
    guard: 'I3: a claim is taken over only by a redelivery',
    name: 'takeover-redelivered',
    finds: /I3 .* its item was handed out once/,
    edits: [
      { file: MACHINE, from: 'task.item !== event.by.item || !event.redelivered', to: 'task.item !== event.by.item' },
    ],
  },
  {
    guard: 'I3: a claim is taken over only by a redelivery of its own item',
    name: 'takeover-item',
    finds: /I3 .* was taken over for item/,
    edits: [{ file: MACHINE, from: 'task.item !== event.by.item || !event.redelivered', to: '!event.redelivered' }],
  },
  {
    guard: 'I3: only the holder commits (the machine and the claim together)',
    name: 'holder',
    finds: /I3 /,
    edits: [
      { file: MACHINE, from: 'return task.agentId === by.agentId && task.item === by.item;', to: 'return true;' },
      { file: CLAIM, from: 'claimed || now === undefined', to: 'now === undefined' },
      {
        file: CLAIM,
        from: "return before.status === 'pending' && now.status === 'ready' && now.attempt === before.attempt;",
        to: 'return before.taskId === now.taskId;',
      },
    ],
  },
  {
    guard: 'I4: a call is granted only within the limit',
    name: 'budget',
    finds: /I4 /,
    edits: [
      {
        file: BUDGET,
        from: 'if (cap === undefined || addUp',
        to: "if (cap === undefined || limit === 'usd' || addUp",
      },
    ],
  },
  {
    guard: 'I4: the compare-and-set on ledgers',
    name: 'ledger-cas',
    finds: /I4 /,
    edits: [{ file: LEDGERS, from: '          expect: standing?.revision ?? 0,\n', to: '' }],
  },
  {
    guard: 'I4: what the dead had reserved counts as spent',
    name: 'lost-calls',
    finds: /I4 .* models billed/,
    edits: [
      { file: BUDGET, from: '...settle(ledger, id, held, held),', to: '...settle(ledger, id, held, NONE),' },
      {
        file: BUDGET,
        from: "export type Limits = Ledger['limits'];",
        to: "const NONE = { usd: 0, tokens: 0 };\nexport type Limits = Ledger['limits'];",
      },
    ],
  },
  {
    guard: 'I4: the account is closed before its sum goes into the record',
    name: 'account-open',
    finds: /I4 .* ledger is open/,
    edits: [{ file: CLOSING, from: 'await ledgers.end(goalId)', to: 'await ledgers.spending(goalId)' }],
  },
  {
    guard: 'I5: the compare-and-set on goal records',
    name: 'goal-cas',
    finds: /I5 |COUNTS /,
    edits: [{ file: RECORDS, from: 'data: encode(goal), expect }', to: 'data: encode(goal) }' }],
  },
  {
    guard: 'I5: a terminal goal takes no event',
    name: 'terminal-goal',
    finds: /I5 .* ended more than once|COUNTS /,
    edits: [
      {
        file: GOAL_MACHINE,
        from: "  if (isTerminalGoal(goal)) return { ok: false, refusal: 'terminal'",
        to: "  if (isTerminalGoal(goal) && event.type === 'declare') return { ok: false, refusal: 'terminal'",
      },
    ],
  },
  {
    guard: 'I3: a revision replaces only what nobody has begun',
    name: 'replace-begun',
    finds: /REVISION .* after it had begun/,
    edits: [
      {
        file: MACHINE,
        from: "if (task.status === 'in_progress' || task.attempt > 0) return refuse('illegal', task, event);",
        to: '',
      },
    ],
  },
  {
    guard: 'I5: there is one n-th revision of a graph, persisted by create',
    name: 'revision-create',
    finds: /REVISION .* was written as/,
    edits: [{ file: REVISIONS, from: 'data: encode(revision), expect: CREATE', to: 'data: encode(revision)' }],
  },
  {
    guard: 'I5: a goal does not end before a failure in it has been mended',
    name: 'end-before-repair',
    finds: /I5 |REPAIR /,
    edits: [
      {
        file: CLOSING,
        from: 'if (awaitsRepair({ goal: goal.record, tasks: standing, revisions: known })) return false;',
        to: '',
      },
    ],
  },
  {
    guard: 'I10: new plans of a goal are bounded',
    name: 'replans-bounded',
    finds: /REPAIR .* was planned anew as 1, 2, 3/,
    edits: [{ file: REPAIR, from: 'if (number > (goal.replansMax ?? 0)) return undefined;', to: '' }],
  },
  {
    guard: 'a failure while another plan is made does not make that plan the goal’s end',
    name: 'overtaken-plan',
    finds: /REPAIR .* fails by the plan of .*, which is not its last/,
    edits: [{ file: GROWTH, from: 'if (instead !== undefined) {', to: 'if (instead === null) {' }],
  },
  {
    guard: 'a join names every part that it does without',
    name: 'unnamed-part',
    finds: /REPAIR .* loses a dependency/,
    edits: [
      {
        file: REPAIR,
        from: 'const lost = [...(task.failures ?? []), ...without.flatMap((id) => failures.get(id) ?? [])];',
        to: 'const lost = [...(task.failures ?? [])];',
      },
    ],
  },
  {
    guard: 'a join is not given up for a part that fails while another failure is mended',
    name: 'given-up-join',
    finds: /REPAIR .* gave .* up, which could do without/,
    edits: [
      {
        file: GROWTH,
        from: "for (const each of dead) if (each.status === 'failed') await repair(goal, await revisions.of(goal), each);",
        to: '',
      },
    ],
  },
  {
    guard: 'a part that failed is named to the end, however often the goal is handed on',
    name: 'named-to-the-end',
    finds: /PEERS .* names .*, failed are/,
    edits: [{ file: PEER, from: '...(failures === undefined ? {} : { failures })', to: '' }],
  },
  {
    guard: 'a goal has one result, however many parts failed at once',
    name: 'failed-sink',
    finds: /PEERS .* with another result than/,
    edits: [{ file: REVISION, from: ' && !(lost.has(taskId) && used.has(taskId))', to: '' }],
  },
  {
    guard: 'I5: a goal does not end before its graph has grown',
    name: 'end-before-growth',
    finds: /I5 .* is completed with|I5 /,
    edits: [
      {
        file: CLOSING,
        from: 'if ([...tasks.values()].some(({ record }) => grows(record) && !causes.has(record.taskId))) return false;',
        to: '',
      },
    ],
  },
  {
    guard: 'I3: work that was awarded is done by nobody but the winner',
    name: 'awarded',
    finds: /PEERS .* was meant for/,
    edits: [
      {
        file: WORKER,
        from: 'if (task.peer !== undefined) return announceAnew(delivery, found, task.assignee);',
        to: '',
      },
    ],
  },
  {
    guard: 'I6: an item is acknowledged only after the commit',
    name: 'ack-before-commit',
    finds: /I6 .* was acknowledged while it is/,
    edits: [
      {
        file: ATTEMPT,
        from: 'committing = true; const at = deps.clock.now();',
        to: 'committing = true; delivery.ack(); const at = deps.clock.now();',
      },
    ],
  },
  {
    guard: 'I6: an item is acknowledged only after what follows is written',
    name: 'ack-before-release',
    finds: /I6 .* was acknowledged before/,
    edits: [
      {
        file: ATTEMPT,
        from: 'await propagation.afterEnd(ended, done, ahead);',
        to: 'delivery.ack();\n      await propagation.afterEnd(ended, done, ahead);',
      },
    ],
  },
  {
    guard: 'I6: the item that carries a chain is not acknowledged while the chain goes on',
    name: 'ack-before-going-on',
    finds: /I6 .* was acknowledged before/,
    edits: [
      {
        file: ATTEMPT,
        from: 'await pass(ended, done, ahead); propagation.goOn(ended, next.record);',
        to: 'await pass(ended, done, ahead); delivery.ack(); propagation.goOn(ended, next.record);',
      },
    ],
  },
  {
    guard: 'I6: whoever gets the item of a dead agent looks how far it went along the chain',
    name: 'going-on',
    finds: /I6 .* which it carries, is|I5 .* is running/,
    edits: [{ file: WORKER, from: 'return takeUp(delivery, next, links + 1);', to: 'break;' }],
  },
  {
    guard: 'I6: a copy of an item is not acknowledged while its holder may still pass the news on',
    name: 'ack-of-a-copy',
    finds: /I6 .* was acknowledged before|I5 /,
    edits: [{ file: WORKER, from: 'return delivery.retry(PASS_ON_AGAIN_MS);', to: 'return delivery.ack();' }],
  },
  {
    guard: 'I10: a task has maxAttempts attempts',
    name: 'attempts',
    finds: /I10 /,
    edits: [{ file: MACHINE, from: 'event.final || attempt >= task.maxAttempts', to: 'event.final' }],
  },
];

describe('the simulation', () => {
  it('finds nothing in a copy from which nothing was removed', async () => {
    const { exitCode, output } = await simulateMutant('control', [], 60);
    expect(output).toContain(' 0 with violations');
    expect(exitCode).toBe(0);
  });

  it.each(MUTANTS)('turns red without the guard of $guard', async ({ name, finds, edits }) => {
    const { exitCode, output } = await simulateMutant(name, edits, SCHEDULES, finds);
    expect(output).toMatch(finds);
    expect(exitCode).toBe(1);
  });
});
