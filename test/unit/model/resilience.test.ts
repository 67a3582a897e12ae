import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CallFailure, PolicyError, type Verdict } from '../../../shared/adapters/call-failure.ts';
import {
  type BreakerState,
  createPolicy,
  type PolicyObserver,
  type PolicyOptions,
} from '../../../shared/adapters/resilience.ts';
import { waitUntil } from '../../support/wait.ts';
import { instantTime, manualTime } from './manual-time.ts';

const OPTIONS: PolicyOptions = {
  name: 'peer',
  timeoutMs: 60_000,
  retry: { maxAttempts: 3, baseMs: 100, capMs: 1000, retryAfterMaxMs: 5000 },
  breaker: { kind: 'consecutive', failures: 100, halfOpenAfterMs: 10_000 },
  bulkhead: { limit: 10, queue: 10 },
};

function recorder() {
  const states: BreakerState[] = [];
  const retries: { attempt: number; delayMs: number }[] = [];
  const counts = { timeouts: 0, overloaded: 0 };
  const observer: PolicyObserver = {
    breakerState: (_, state) => void states.push(state),
    retry: (_, attempt, delayMs) => void retries.push({ attempt, delayMs }),
    timeout: () => void (counts.timeouts += 1),
    overloaded: () => void (counts.overloaded += 1),
  };
  return { observer, states, retries, counts };
}

const failure = (verdict: Verdict) => new CallFailure(verdict, `verdict ${verdict.kind}`);
const down = () => Promise.reject(failure({ kind: 'retry' }));
const live = () => new AbortController().signal;
const errorOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    (value) => new Error(`expected a failure, got ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );

describe('the reported state of a breaker', () => {
  it('becomes half-open by itself when its time is over, without a call', async () => {
    const { observer, states } = recorder();
    const breaker = { kind: 'consecutive', failures: 1, halfOpenAfterMs: 20 } as const;
    const policy = createPolicy({ ...OPTIONS, breaker, retry: { ...OPTIONS.retry, maxAttempts: 1 } }, observer);
    await errorOf(policy.execute(down, { signal: live() }));
    expect(states.slice(0, 2)).toEqual([0, 2]);
    await waitUntil('it is reported half-open', () => states.includes(1));
    expect(await policy.execute(() => Promise.resolve('well again'), { signal: live() })).toBe('well again');
    expect(states).toEqual([0, 2, 1, 0]);
  });
});

describe('retry', () => {
  it('tries again after a jittered wait, and reports each retry', async () => {
    const { observer, retries } = recorder();
    const time = instantTime();
    const policy = createPolicy(OPTIONS, observer, time);
    const numbers: number[] = [];
    const answer = await policy.execute(
      async ({ number }) => {
        numbers.push(number);
        return number < 3 ? down() : 'done';
      },
      { signal: live() },
    );
    expect(answer).toBe('done');
    expect(numbers).toEqual([1, 2, 3]);
    expect(retries).toEqual([
      { attempt: 2, delayMs: 200 },
      { attempt: 3, delayMs: 350 },
    ]);
    expect(time.delays).toEqual([200, 350]);
  });

  it('ends after maxAttempts with the last failure', async () => {
    const policy = createPolicy(OPTIONS, recorder().observer, instantTime());
    const failures = [1, 2, 3].map((number) => new CallFailure({ kind: 'retry' }, `failure ${number}`));
    const left = [...failures];
    expect(
      await errorOf(
        policy.execute(() => Promise.reject(left.shift() ?? new Error('a fourth attempt')), { signal: live() }),
      ),
    ).toBe(failures[2]);
  });

  it.each<Verdict>([{ kind: 'refuse' }, { kind: 'give-up' }])(
    'does not repeat what is meant as %j',
    async (verdict) => {
      const { observer, retries } = recorder();
      const policy = createPolicy(OPTIONS, observer, instantTime());
      const error = failure(verdict);
      expect(await errorOf(policy.execute(() => Promise.reject(error), { signal: live() }))).toBe(error);
      expect(retries).toEqual([]);
    },
  );

  it('lets an error of unknown meaning pass unchanged', async () => {
    const policy = createPolicy(OPTIONS, recorder().observer, instantTime());
    const bug = new TypeError('a bug');
    expect(await errorOf(policy.execute(() => Promise.reject(bug), { signal: live() }))).toBe(bug);
  });

  it('waits at least as long as the target asks', async () => {
    const { observer, retries } = recorder();
    const policy = createPolicy(OPTIONS, observer, instantTime());
    await errorOf(policy.execute(() => Promise.reject(failure({ kind: 'retry', afterMs: 3000 })), { signal: live() }));
    expect(retries.map((retry) => retry.delayMs)).toEqual([3050, 3050]);
  });

  it('does not wait longer than it may: the caller hears what the target asked for', async () => {
    const { observer, retries } = recorder();
    const policy = createPolicy(OPTIONS, observer, instantTime());
    const error = failure({ kind: 'retry', afterMs: 5001 });
    expect(await errorOf(policy.execute(() => Promise.reject(error), { signal: live() }))).toBe(error);
    expect(retries).toEqual([]);
  });

  it('stops waiting the moment the caller aborts', async () => {
    const time = manualTime();
    const policy = createPolicy(OPTIONS, recorder().observer, time);
    const caller = new AbortController();
    const call = errorOf(policy.execute(down, { signal: caller.signal }));
    await waitUntil('the policy waits before the second attempt', () => time.waits().length === 1);
    caller.abort();
    expect(await call).toMatchObject({ kind: 'aborted' });
    expect(time.waits()).toEqual([]);
  });

  it('does not start at all when the caller has aborted before', async () => {
    const run = vi.fn<() => Promise<never>>(down);
    const policy = createPolicy(OPTIONS, recorder().observer, instantTime());
    expect(await errorOf(policy.execute(run, { signal: AbortSignal.abort() }))).toMatchObject({ kind: 'aborted' });
    expect(run).not.toHaveBeenCalled();
  });
});

describe('timeout', () => {
  const hasty: PolicyOptions = { ...OPTIONS, timeoutMs: 5, retry: { ...OPTIONS.retry, maxAttempts: 2 } };

  it('ends an attempt that ignores its signal, tries again, and counts both', async () => {
    const { observer, retries, counts } = recorder();
    const policy = createPolicy(hasty, observer, instantTime());
    const error = await errorOf(policy.execute(() => new Promise<never>(() => {}), { signal: live() }));
    expect(error).toBeInstanceOf(PolicyError);
    expect(error).toMatchObject({ kind: 'timeout' });
    expect(counts.timeouts).toBe(2);
    expect(retries).toHaveLength(1);
  });

  it('aborts the signal of the attempt', async () => {
    const policy = createPolicy(hasty, recorder().observer, instantTime());
    const signals: AbortSignal[] = [];
    await errorOf(
      policy.execute(
        ({ signal }) => {
          signals.push(signal);
          return new Promise<never>(() => {});
        },
        { signal: live() },
      ),
    );
    expect(signals.map((signal) => signal.aborted)).toEqual([true, true]);
  });

  it('does not take a failure that is no timeout for one', async () => {
    const { observer, counts } = recorder();
    const policy = createPolicy(OPTIONS, observer, instantTime());
    expect(await errorOf(policy.execute(down, { signal: live() }))).toBeInstanceOf(CallFailure);
    expect(counts.timeouts).toBe(0);
  });

  it('says aborted, not timeout, when it was the caller', async () => {
    const { observer, counts } = recorder();
    const policy = createPolicy(OPTIONS, observer, instantTime());
    const caller = new AbortController();
    const call = policy.execute(
      ({ signal }) =>
        new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(new Error('closed')))),
      { signal: caller.signal },
    );
    const error = errorOf(call);
    caller.abort();
    expect(await error).toMatchObject({ kind: 'aborted' });
    expect(counts.timeouts).toBe(0);
  });
});

describe('around', () => {
  it('frames every attempt, and is done before the caller hears the outcome', async () => {
    const policy = createPolicy(OPTIONS, recorder().observer, instantTime());
    const events: string[] = [];
    const answer = policy.execute(({ number }) => (number < 2 ? down() : Promise.resolve('done')), {
      signal: live(),
      around: async (call) => {
        events.push('reserve');
        try {
          return await call();
        } finally {
          await Promise.resolve();
          events.push('settle');
        }
      },
    });
    await answer.then(() => events.push('answer'));
    expect(events).toEqual(['reserve', 'settle', 'reserve', 'settle', 'answer']);
  });

  it('is finished also when the caller aborts in the middle of an attempt', async () => {
    const policy = createPolicy(OPTIONS, recorder().observer, instantTime());
    const caller = new AbortController();
    const events: string[] = [];
    const call = policy.execute(() => new Promise<never>(() => {}), {
      signal: caller.signal,
      around: async (attempt) => {
        events.push('reserve');
        try {
          return await attempt();
        } finally {
          await Promise.resolve();
          await Promise.resolve();
          events.push('settle');
        }
      },
    });
    const done = errorOf(call).then(() => events.push('heard'));
    await waitUntil('the attempt runs', () => events.length === 1);
    caller.abort();
    await done;
    expect(events).toEqual(['reserve', 'settle', 'heard']);
  });
});

describe('bulkhead', () => {
  it('runs the limit, queues the next, refuses the rest, and counts the refusal', async () => {
    const { observer, counts } = recorder();
    const policy = createPolicy({ ...OPTIONS, bulkhead: { limit: 1, queue: 1 } }, observer, instantTime());
    const first = Promise.withResolvers<string>();
    const started: string[] = [];
    const start = (name: string, answer: Promise<string>) =>
      policy.execute(
        () => {
          started.push(name);
          return answer;
        },
        { signal: live() },
      );
    const running = start('first', first.promise);
    const queued = start('second', Promise.resolve('second'));
    const refused = await errorOf(start('third', Promise.resolve('third')));
    expect(refused).toMatchObject({ kind: 'overloaded' });
    expect(counts.overloaded).toBe(1);
    expect(started).toEqual(['first']);
    first.resolve('first');
    expect(await Promise.all([running, queued])).toEqual(['first', 'second']);
    expect(started).toEqual(['first', 'second']);
  });

  it('holds no slot while it waits for a retry', async () => {
    const time = manualTime();
    const policy = createPolicy({ ...OPTIONS, bulkhead: { limit: 1, queue: 0 } }, recorder().observer, time);
    let failed = false;
    const flaky = policy.execute(
      () => {
        if (failed) return Promise.resolve('at last');
        failed = true;
        return down();
      },
      { signal: live() },
    );
    await waitUntil('the first call waits for its retry', () => time.waits().length === 1);
    expect(await policy.execute(() => Promise.resolve('meanwhile'), { signal: live() })).toBe('meanwhile');
    time.elapse();
    expect(await flaky).toBe('at last');
  });

  it('lets a queued caller go when it aborts', async () => {
    const policy = createPolicy({ ...OPTIONS, bulkhead: { limit: 1, queue: 1 } }, recorder().observer, instantTime());
    const first = Promise.withResolvers<string>();
    const running = policy.execute(() => first.promise, { signal: live() });
    const caller = new AbortController();
    const run = vi.fn<() => Promise<string>>(() => Promise.resolve('never'));
    const queued = errorOf(policy.execute(run, { signal: caller.signal }));
    caller.abort();
    expect(await queued).toMatchObject({ kind: 'aborted' });
    first.resolve('done');
    expect(await running).toBe('done');
    expect(run).not.toHaveBeenCalled();
  });
});

describe('breaker', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 }));
  afterEach(() => void vi.useRealTimers());

  const once: PolicyOptions = {
    ...OPTIONS,
    retry: { ...OPTIONS.retry, maxAttempts: 1 },
    breaker: { kind: 'consecutive', failures: 2, halfOpenAfterMs: 10_000 },
  };

  async function opened() {
    const record = recorder();
    const policy = createPolicy(once, record.observer, instantTime());
    await errorOf(policy.execute(down, { signal: live() }));
    await errorOf(policy.execute(down, { signal: live() }));
    return { policy, ...record };
  }

  it('opens after failures in a row, then refuses without calling and says when to come back', async () => {
    const { policy, states } = await opened();
    expect(states).toEqual([0, 2]);
    vi.setSystemTime(1_004_000);
    const run = vi.fn<() => Promise<never>>(down);
    expect(await errorOf(policy.execute(run, { signal: live() }))).toMatchObject({
      kind: 'breaker_open',
      retryAfterMs: 6000,
    });
    expect(run).not.toHaveBeenCalled();
  });

  it('closes after a trial that succeeds', async () => {
    const { policy, states } = await opened();
    vi.setSystemTime(1_010_000);
    expect(await policy.execute(() => Promise.resolve('up'), { signal: live() })).toBe('up');
    expect(states).toEqual([0, 2, 1, 0]);
  });

  it('opens again after a trial that fails', async () => {
    const { policy, states } = await opened();
    vi.setSystemTime(1_010_000);
    await errorOf(policy.execute(down, { signal: live() }));
    expect(states).toEqual([0, 2, 1, 2]);
  });

  it('closes after a trial that the target refuses: it is alive', async () => {
    const { policy, states } = await opened();
    vi.setSystemTime(1_010_000);
    await errorOf(policy.execute(() => Promise.reject(failure({ kind: 'refuse' })), { signal: live() }));
    expect(states).toEqual([0, 2, 1, 0]);
  });

  it('stays open after a trial that proved nothing', async () => {
    const { policy, states } = await opened();
    vi.setSystemTime(1_010_000);
    await errorOf(policy.execute(() => Promise.reject(failure({ kind: 'give-up' })), { signal: live() }));
    expect(states).toEqual([0, 2, 1, 2]);
  });

  it('stays open after a trial that the caller aborted', async () => {
    const { policy, states } = await opened();
    vi.setSystemTime(1_010_000);
    const caller = new AbortController();
    const call = errorOf(policy.execute(() => new Promise<never>(() => {}), { signal: caller.signal }));
    caller.abort();
    expect(await call).toMatchObject({ kind: 'aborted' });
    expect(states).toEqual([0, 2, 1, 2]);
  });

  it('does not count refusals and aborts as failures', async () => {
    const { observer, states } = recorder();
    const policy = createPolicy(once, observer, instantTime());
    for (const verdict of ['refuse', 'give-up', 'refuse', 'give-up'] as const) {
      await errorOf(policy.execute(() => Promise.reject(failure({ kind: verdict })), { signal: live() }));
    }
    expect(states).toEqual([0]);
  });

  it('runs nothing around a call that it stops', async () => {
    const { policy } = await opened();
    const around = vi.fn<(call: () => Promise<never>) => Promise<never>>((call) => call());
    await errorOf(policy.execute(down, { signal: live(), around }));
    expect(around).not.toHaveBeenCalled();
  });

  it('opens on the share of failures when it samples', async () => {
    const { observer, states } = recorder();
    const sampling: PolicyOptions = {
      ...once,
      breaker: { kind: 'sampling', threshold: 0.5, windowMs: 5000, minimumRps: 1, halfOpenAfterMs: 10_000 },
    };
    const policy = createPolicy(sampling, observer, instantTime());
    for (let round = 0; round < 3; round += 1) {
      await policy.execute(() => Promise.resolve('up'), { signal: live() });
      await errorOf(policy.execute(down, { signal: live() }));
    }
    expect(states).toEqual([0]);
    await errorOf(policy.execute(down, { signal: live() }));
    expect(states).toEqual([0, 2]);
  });
});
