/** Work on a peer-to-peer goal: the handler's result, questions to peers as long as its agent has some, and the step that follows. */
import { doneBefore } from '../../core/peer.ts';
import type { Step } from '../../protocol/peer.ts';
import type { TaskRecord } from '../../protocol/task.ts';
import type { PeerAnswered, TaskContext } from '../context.ts';
import type { Deps } from '../engine/deps.ts';
import { readTasks } from '../engine/records.ts';
import type { Capability, Manifest } from '../manifest.ts';
import { ASKS_MAX, decideNext } from './next.ts';

const ABOUT_MAX = 8_000;

interface Working {
  readonly manifest: Pick<Manifest, 'usesModel' | 'mayMessage'>;
  readonly capability: Capability;
  readonly task: TaskRecord;
  readonly context: TaskContext;
  /** The list that `context.answers` shows. */
  readonly answers: PeerAnswered[];
  readonly run: () => Promise<unknown>;
  readonly onStep: (step: Step) => void;
}

/** The result; anything but work of a peer-to-peer goal is just run. */
export async function workOn({ manifest, capability, task, context, answers, run, onStep }: Working): Promise<unknown> {
  let output = await run();
  const { peer } = task;
  if (peer?.role !== 'work') return output;
  for (let asksLeft = ASKS_MAX; ; asksLeft -= 1) {
    const decided = await decideNext({ manifest, capability, context, peer, output, asksLeft });
    if ('step' in decided) {
      onStep(decided.step);
      return output;
    }
    const { ask } = decided;
    const said = await context.askPeer({ ...ask, about: JSON.stringify(output).slice(0, ABOUT_MAX).toWellFormed() });
    if (!said.ok) {
      context.log.warn({ event: 'peer.unanswered', capability: ask.capability, reason: said.reason }, 'no answer');
      continue;
    }
    answers.push({ ...ask, from: said.from, answer: said.answer });
    // With what is known now the work is done again.
    output = await run();
  }
}

/** What was done for the goal before this task. */
export async function doneFor(deps: Deps, task: TaskRecord): Promise<TaskContext['done']> {
  const done = await readTasks(deps, task.goalId, doneBefore(task));
  return [...done.values()].map(({ record }) => ({ taskId: record.taskId, capability: record.capability }));
}
