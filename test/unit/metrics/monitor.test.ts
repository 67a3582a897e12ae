/** One agent looks for all: what a survey finds is shown by whoever still is that agent when it comes back. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Incoming, SurveyedQueue } from '../../../shared/ports.ts';
import { subjectsOf } from '../../../shared/protocol/subjects.ts';
import { startMonitor } from '../../../shared/runtime/monitor/monitor.ts';

const subjects = subjectsOf('m');
const GOALS = { waiting: 0, open: 0, oldestAt: undefined };
const ACCOUNT = { storageBytes: 0, memoryBytes: 0, storageLimitBytes: 1 };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watched() {
  let hear: (message: Incoming) => void = () => {};
  const says = (subject: string, data: Uint8Array = new Uint8Array()): void =>
    hear({ subject, data, reply: undefined, header: () => undefined });
  let answer: (queues: readonly SurveyedQueue[]) => void = () => {};
  const view = { see: vi.fn(), clear: vi.fn() };
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
    clock: {
      now: () => Date.now(),
      after(delayMs, run) {
        const timer = setTimeout(run, delayMs);
        return () => clearTimeout(timer);
      },
    },
    random: () => 0,
    surveyor: {
      queues: () => new Promise((resolve) => (answer = resolve)),
      goals: () => Promise.resolve(GOALS),
      streams: () => Promise.resolve([]),
      account: () => Promise.resolve(ACCOUNT),
    },
    registry: { list: () => Promise.resolve([]) },
    view,
    events: { chosen: () => {}, surveyFailed: () => {} },
  });
  return { monitor, view, says, answer: () => answer([]) };
}

it('shows what its survey found', async () => {
  const { view, answer } = watched();
  await vi.advanceTimersByTimeAsync(3_000);
  expect(view.see).not.toHaveBeenCalled();
  answer();
  await vi.advanceTimersByTimeAsync(0);
  expect(view.see).toHaveBeenCalledOnce();
});

it('drops a survey that comes back when another agent looks, or when it has stopped', async () => {
  const replaced = watched();
  await vi.advanceTimersByTimeAsync(3_000);
  replaced.says(subjects.monitor('a'));
  expect(replaced.view.clear).toHaveBeenCalledOnce();
  replaced.answer();
  const stopped = watched();
  await vi.advanceTimersByTimeAsync(3_000);
  stopped.monitor.stop();
  stopped.answer();
  await vi.advanceTimersByTimeAsync(0);
  expect([replaced.view.see.mock.calls, stopped.view.see.mock.calls]).toEqual([[], []]);
});
