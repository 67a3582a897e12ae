/** When an agent gives memory back: after its start, and after minutes without work in which there is something to give back. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { collectWhenIdle } from '../../shared/runtime/idle-memory.ts';

const MB = 2 ** 20;
const KEPT_MB = 20;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** An agent whose heap is at 20 MB after each collection. */
function agent(): { idle: boolean; heapMb: number; utilization: number; readonly collections: () => number } {
  let collections = 0;
  const it = { idle: true, heapMb: 40, utilization: 0.01, collections: () => collections };
  collectWhenIdle(() => it.idle, {
    bytes: () => it.heapMb * MB,
    utilization: () => it.utilization,
    collect() {
      collections += 1;
      it.heapMb = KEPT_MB;
    },
  });
  return it;
}

test('collects soon after the start, as soon as nothing is being worked on', () => {
  const it = agent();
  it.idle = false;
  vi.advanceTimersByTime(10_000);
  expect(it.collections()).toBe(0);
  it.idle = true;
  vi.advanceTimersByTime(3_000);
  expect(it.collections()).toBe(1);
});

test('collects again when a minute without work has something to give back, and only then', () => {
  const it = agent();
  vi.advanceTimersByTime(3_000);
  it.heapMb = KEPT_MB + 1;
  vi.advanceTimersByTime(60_000);
  expect(it.collections()).toBe(1);
  it.heapMb = KEPT_MB + 5;
  vi.advanceTimersByTime(60_000);
  expect(it.collections()).toBe(2);
  vi.advanceTimersByTime(600_000);
  expect(it.collections()).toBe(2);
});

test('no task waits for it: neither after a busy minute nor while something is being worked on', () => {
  const it = agent();
  vi.advanceTimersByTime(3_000);
  it.heapMb = KEPT_MB + 30;
  it.utilization = 0.3;
  vi.advanceTimersByTime(600_000);
  expect(it.collections()).toBe(1);
  it.utilization = 0.01;
  it.idle = false;
  vi.advanceTimersByTime(600_000);
  expect(it.collections()).toBe(1);
  it.idle = true;
  vi.advanceTimersByTime(60_000);
  expect(it.collections()).toBe(2);
});
