import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { TaskRecord } from '../../../shared/protocol/task.ts';
import { healthOf } from '../../../shared/runtime/health.ts';
import { fading } from '../../../shared/runtime/fading.ts';
import { metricsOf } from '../../../shared/runtime/metrics.ts';
import { endpointCounts } from '../../../shared/runtime/service-info.ts';
import { UNTRACED } from '../../../shared/runtime/tracing.ts';
import { engineEvents, healthEvents, modelObserver } from '../../../shared/runtime/telemetry.ts';

const log = pino({ level: 'silent' });

function telemetry() {
  const metrics = metricsOf(['echo']);
  const counts = endpointCounts();
  const events = engineEvents(log, metrics, counts, 'agent-1', UNTRACED);
  const text = () => metrics.registry.metrics();
  return { metrics, counts, events, text };
}

const AT = '2026-01-01T00:00:00.000Z';
const base = {
  goalId: 'g',
  taskId: 't',
  capability: 'echo',
  description: '',
  attempt: 1,
  dependencies: [],
  correlationId: 'g',
  createdAt: AT,
  dependents: [],
  maxAttempts: 3,
  timeoutMs: 1_000,
  deadline: AT,
  cost: { usd: 0, inputTokens: 0, outputTokens: 0, messages: 0 },
};
const ready: TaskRecord = { ...base, status: 'ready' };
const failed: TaskRecord = { ...base, status: 'failed', error: { code: 'x', message: 'x' }, finishedAt: AT };

describe('what the engine reports', () => {
  it('is a failed attempt each time, and a retry only when one follows', async () => {
    const { events, counts, text } = telemetry();
    events.attemptFailed(ready, 'timeout', 'too late', 250);
    events.attemptFailed(failed, 'echo_failed', 'secret words', undefined);
    expect(await text()).toContain('conclave_attempts_failed_total{capability="echo",code="timeout"} 1\n');
    expect(await text()).toContain('conclave_attempts_failed_total{capability="echo",code="echo_failed"} 1\n');
    expect(await text()).toContain('conclave_retries_total{policy="task"} 1\n');
    expect(counts.of('echo')).toMatchObject({ errors: 2, lastError: 'echo_failed' });
  });

  it('has no duration for a task that never started', async () => {
    const { events, text } = telemetry();
    events.taskEnded(failed, undefined);
    expect(await text()).toContain('conclave_tasks_total{capability="echo",status="failed"} 1\n');
    expect(await text()).not.toContain('conclave_task_duration_seconds_count{capability="echo",status="failed"}');
    events.taskEnded(failed, 1_500);
    expect(await text()).toContain('conclave_task_duration_seconds_sum{capability="echo",status="failed"} 1.5\n');
  });

  it('adds reservations up, and nothing open is nothing reserved', async () => {
    const { events, text } = telemetry();
    for (const usd of [0.1, 0.2]) events.reservations(1, usd);
    expect(await text()).toMatch(/conclave_reservations_open 2\n[^]*conclave_reserved_usd 0\.3/);
    for (const usd of [0.2, 0.1]) events.reservations(-1, usd);
    expect(await text()).toMatch(/conclave_reservations_open 0\n[^]*conclave_reserved_usd 0\n/);
  });

  it('cannot grow the registry, whatever codes and capabilities come', async () => {
    const { events, text } = telemetry();
    for (let index = 0; index < 1_000; index += 1) {
      events.deadLetter('tasks', `code-${index}`, {});
      events.taskEnded({ ...failed, capability: `cap-${index}` }, 1);
    }
    const lines = (await text()).split('\n');
    expect(lines.filter((line) => line.startsWith('conclave_dead_letters_total{'))).toHaveLength(51);
    expect(lines.filter((line) => line.startsWith('conclave_task_duration_seconds_count{'))).toHaveLength(101);
    expect(await text()).toContain('conclave_dead_letters_total{code="other"} 950\n');
  });

  it('says how long the goal has stood still that stood longest, until goals move or end', async () => {
    const { events, text } = telemetry();
    events.goalSwept('a', 400_000);
    events.goalSwept('b', 1_000);
    expect(await text()).toContain('conclave_goals_idle_seconds 400\n');
    events.goalSwept('a', 0);
    expect(await text()).toContain('conclave_goals_idle_seconds 1\n');
  });

  it('names a capability that nobody has', async () => {
    const { events, text } = telemetry();
    events.capabilityMissing('telepathy', true);
    expect(await text()).toContain('conclave_capability_missing{capability="telepathy"} 1\n');
    events.capabilityMissing('telepathy', false);
    expect(await text()).toContain('conclave_capability_missing{capability="telepathy"} 0\n');
  });
});

describe('a policy', () => {
  it('has all its series as soon as it exists', async () => {
    const metrics = metricsOf();
    modelObserver(log, metrics).breakerState('model', 0);
    const text = await metrics.registry.metrics();
    expect(text).toContain('conclave_retries_total{policy="model"} 0\n');
    expect(text).toContain('conclave_calls_refused_total{policy="model",reason="timeout"} 0\n');
  });
});

describe('fading', () => {
  it('forgets what is older than its lifetime, and the oldest of too many', () => {
    let now = 0;
    const seen = fading(10, 2, () => now);
    seen.see('a', 1);
    now = 5;
    seen.see('b', 2);
    seen.see('a', 3);
    expect(seen.entries()).toEqual([
      ['b', 2],
      ['a', 3],
    ]);
    seen.see('c', 4);
    expect(seen.entries()).toEqual([
      ['a', 3],
      ['c', 4],
    ]);
    now = 14;
    seen.see('c', 5);
    expect(seen.entries()).toEqual([
      ['a', 3],
      ['c', 5],
    ]);
    now = 15;
    expect(seen.entries()).toEqual([['c', 5]]);
    seen.forget('c');
    expect(seen.entries()).toEqual([]);
  });
});

describe('health', () => {
  it('keeps since when a check stands, and tells the first verdict and each change', async () => {
    let now = 0;
    const metrics = metricsOf();
    const changes: string[] = [];
    const reported = healthEvents(log, metrics);
    const health = healthOf(
      { broker: 'nothing was asked yet', stopping: '' },
      {
        changed(report, first) {
          changes.push(`${report.check} ${report.ok} ${first} ${report.reason ?? ''}`.trimEnd());
          reported.changed(report, first);
        },
      },
      () => now,
    );
    now = 1_000;
    health.fail('broker', 'nothing yet');
    health.fail('broker', 'still nothing');
    expect(health.report().checks[0]).toEqual({
      check: 'broker',
      ok: false,
      reason: 'still nothing',
      since: '1970-01-01T00:00:00.000Z',
    });
    health.pass('broker');
    now = 2_000;
    health.pass('broker');
    expect(health.report()).toEqual({
      status: 'ready',
      unready: [],
      checks: [
        { check: 'broker', ok: true, since: '1970-01-01T00:00:01.000Z' },
        { check: 'stopping', ok: true, since: '1970-01-01T00:00:00.000Z' },
      ],
    });
    expect(changes).toEqual([
      'broker false true nothing was asked yet',
      'stopping true true',
      'broker false false nothing yet',
      'broker true false',
    ]);
    expect(await metrics.registry.metrics()).toContain('conclave_ready{check="broker"} 1\n');
  });
});
