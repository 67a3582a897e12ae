import { expect, it } from 'vitest';
import { metricRegistry } from '../../../shared/runtime/metric-registry.ts';
import { meshMetrics, type Survey } from '../../../shared/runtime/monitor/mesh-metrics.ts';

const present = (agentId: string, capabilities: string[]) => ({
  agentId,
  role: 'worker',
  capabilities,
  startedAt: '2026-01-01T00:00:00.000Z',
  version: '1.0.0',
  load: { running: 0, slots: 1 },
});

const SURVEY: Survey = {
  queues: [
    { capability: 'echo', waiting: 2, held: 1, redelivered: 0, oldestAt: 40_000 },
    { capability: 'plan', waiting: 0, held: 0, redelivered: 0, oldestAt: undefined },
  ],
  goals: { waiting: 0, open: 3, oldestAt: 10_000 },
  streams: [
    { stream: 'log', led: true, messages: 10, bytes: 100, replicas: 3, current: 2, sourceLag: 7 },
    { stream: 'dag', led: false },
  ],
  account: { storageBytes: 5, memoryBytes: 6, storageLimitBytes: Infinity },
  presence: [present('a', ['echo', 'review']), present('b', ['echo'])],
};

function shown() {
  let now = 50_000;
  const registry = metricRegistry();
  const view = meshMetrics(registry, () => now);
  const lines = async () => {
    const text = await registry.registry.metrics();
    return text.split('\n').filter((line) => line.startsWith('conclave_'));
  };
  return { view, lines, wait: (ms: number) => (now += ms) };
}

it('shows a survey as it is', async () => {
  const { view, lines } = shown();
  expect(await lines()).toEqual(['conclave_monitor 0']);
  view.see(SURVEY);
  expect((await lines()).toSorted()).toEqual(
    [
      'conclave_monitor 1',
      'conclave_queue_waiting{capability="echo"} 2',
      'conclave_queue_waiting{capability="plan"} 0',
      'conclave_queue_held{capability="echo"} 1',
      'conclave_queue_held{capability="plan"} 0',
      'conclave_queue_redelivered{capability="echo"} 0',
      'conclave_queue_redelivered{capability="plan"} 0',
      'conclave_queue_oldest_seconds{capability="echo"} 10',
      'conclave_queue_oldest_seconds{capability="plan"} 0',
      'conclave_goals_waiting 0',
      'conclave_goals_open 3',
      'conclave_goals_oldest_seconds 40',
      'conclave_agents{role="worker"} 2',
      'conclave_capability_agents{capability="echo"} 2',
      'conclave_capability_agents{capability="plan"} 0',
      'conclave_capability_agents{capability="review"} 1',
      'conclave_stream_messages{stream="log"} 10',
      'conclave_stream_bytes{stream="log"} 100',
      'conclave_stream_replicas{stream="log"} 3',
      'conclave_stream_replicas_current{stream="log"} 2',
      'conclave_stream_led{stream="log"} 1',
      'conclave_stream_led{stream="dag"} 0',
      'conclave_log_lag_messages 7',
      'conclave_jetstream_storage_bytes 5',
      'conclave_jetstream_storage_limit_bytes +Inf',
      'conclave_jetstream_memory_bytes 6',
    ].toSorted(),
  );
});

it('leaves out what could not be had, instead of saying zero', async () => {
  const { view, lines } = shown();
  view.see({ queues: undefined, goals: undefined, streams: undefined, account: undefined, presence: undefined });
  expect(await lines()).toEqual(['conclave_monitor 1']);
});

it('shows nothing that is old, and nothing once another agent looks', async () => {
  const { view, lines, wait } = shown();
  view.see(SURVEY);
  wait(15_001);
  expect(await lines()).toEqual(['conclave_monitor 1']);
  view.see(SURVEY);
  expect((await lines()).length).toBeGreaterThan(20);
  view.clear();
  expect(await lines()).toEqual(['conclave_monitor 0']);
});

it('has series for a bounded number of capabilities', async () => {
  const { view, lines } = shown();
  const names = Array.from({ length: 1_000 }, (_, index) => `cap-${index}`);
  const queues = names.map((capability) => ({ capability, waiting: 1, held: 0, redelivered: 0, oldestAt: 0 }));
  view.see({ ...SURVEY, queues, presence: [present('a', names)] });
  expect((await lines()).filter((line) => line.includes('capability=')).length).toBe(5 * 100);
});
