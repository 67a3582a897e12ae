/** One agent looks for all: what a survey finds is shown by whoever still is that agent when it comes back. */
import { expect, it } from 'vitest';
import type { Incoming, SurveyedQueue } from '../../../shared/ports.ts';
import { subjectsOf } from '../../../shared/protocol/subjects.ts';
import { startMonitor } from '../../../shared/runtime/monitor/monitor.ts';
import { promisesSettled, VirtualClock } from '../../support/memory-bus.ts';

const subjects = subjectsOf('m');
const GOALS = { waiting: 0, open: 0, oldestAt: undefined };
const ACCOUNT = { storageBytes: 0, memoryBytes: 0, storageLimitBytes: 1 };
/** Longer than a new agent listens, shorter than until its second survey. */
const CHOSEN_MS = 3_000;

/** An agent that was chosen, and whose survey of the queues is under way. */
async function chosen() {
  const clock = new VirtualClock();
  const shown: ('survey' | 'nothing')[] = [];
  let hear: (message: Incoming) => void = () => {};
  let answer: (queues: readonly SurveyedQueue[]) => void = () => {};
  const says = (subject: string, data: Uint8Array = new Uint8Array()): void =>
    hear({ subject, data, reply: undefined, header: () => undefined });
  const monitor = startMonitor({
    agentId: 'b',
    subjects,
    bus: {
      // The broker gives an agent its own beacon back.
      publish: (subject, data) => says(subject, data),
      subscribe(_subject, handle) {
        hear = handle;
        return () => (hear = () => {});
      },
      flush: () => Promise.resolve(),
    },
    clock,
    random: () => 0,
    surveyor: {
      queues: () => new Promise((resolve) => (answer = resolve)),
      goals: () => Promise.resolve(GOALS),
      streams: () => Promise.resolve([]),
      account: () => Promise.resolve(ACCOUNT),
    },
    registry: { list: () => Promise.resolve([]) },
    view: { see: () => void shown.push('survey'), clear: () => void shown.push('nothing') },
    events: { chosen: () => {}, surveyFailed: () => {} },
  });
  await clock.advance(CHOSEN_MS);
  const comesBack = async (): Promise<void> => {
    answer([]);
    await promisesSettled();
  };
  return { monitor, shown, says, comesBack };
}

it('shows what its survey found', async () => {
  const { shown, comesBack } = await chosen();
  expect(shown).toEqual([]);
  await comesBack();
  expect(shown).toEqual(['survey']);
});

it('drops a survey that comes back when another agent looks', async () => {
  const { shown, says, comesBack } = await chosen();
  says(subjects.monitor('a'));
  await comesBack();
  expect(shown).toEqual(['nothing']);
});

it('drops a survey that comes back when it has stopped', async () => {
  const { monitor, shown, comesBack } = await chosen();
  monitor.stop();
  await comesBack();
  expect(shown).toEqual(['nothing']);
});
