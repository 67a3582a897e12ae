import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { Bus } from '../../../shared/ports.ts';
import { voterMesh } from './voter-mesh.ts';

describe('limits (I10)', () => {
  it('decides a bounded number of rounds at once, lets a bounded number wait, and answers no more', async () => {
    const { ask, ponderings, ignored, clock, ballots } = voterMesh();
    for (const roundId of ['r1', 'r2', 'r3', 'r4', 'r5']) await ask({ roundId });
    expect(ponderings.map(({ request }) => request.roundId)).toEqual(['r1', 'r2']);
    expect(ignored()).toEqual(['overloaded']);
    ponderings[1]?.conclude({ position: 'approve' });
    await clock.advance(1);
    expect(ponderings.map(({ request }) => request.roundId)).toEqual(['r1', 'r2', 'r3']);
    // The round that found no place may ask again.
    await ask({ roundId: 'r5' });
    for (const pondering of ponderings) pondering.conclude({ position: 'approve' });
    await clock.advance(1);
    for (const pondering of ponderings) pondering.conclude({ position: 'approve' });
    await clock.advance(1);
    expect(ballots()).toHaveLength(5);
  });

  it('spends nothing on a round whose deadline passed while it waited', async () => {
    const { ask, ponderings, ignored, clock } = voterMesh({ concurrency: 1 });
    await ask({ deadline: '2030-01-01T00:00:09.000Z' });
    await ask({ roundId: 'waiting', deadline: '2030-01-01T00:00:01.000Z' });
    await clock.advance(2_000);
    ponderings[0]?.conclude({ position: 'approve' });
    await clock.advance(1);
    expect(ponderings).toHaveLength(1);
    expect(ignored()).toEqual(['deadline_passed']);
  });

  it('keeps a ballot that could not be sent for the next request', async () => {
    let broken = true;
    let decisions = 0;
    const decide = () => {
      decisions += 1;
      return Promise.resolve({ position: 'approve' });
    };
    const flaky = (bus: Bus): Bus => ({
      subscribe: (...args) => bus.subscribe(...args),
      flush: () => bus.flush(),
      publish: (...args) => {
        if (broken) throw new Error('disconnected');
        bus.publish(...args);
      },
    });
    const { ask, observer, ballots } = voterMesh({ decide }, {}, flaky);
    await ask();
    expect(observer.failures).toMatchObject([{ step: 'publish' }]);
    broken = false;
    await ask();
    expect(ballots()).toEqual(['mesh.ballot.round.v1 approve']);
    expect(observer.answers).toMatchObject([{ repeated: true }]);
    expect(decisions).toBe(1);
  });
});

describe('shutdown', () => {
  it('drains: takes no more, drops what waits, finishes what is under way', async () => {
    const { ask, service, ponderings, ignored, ballots, broker, clock } = voterMesh({ concurrency: 1 });
    await ask({ roundId: 'r1' });
    await ask({ roundId: 'r2' });
    let drained = false;
    const drain = service.drain().then(() => (drained = true));
    await ask({ roundId: 'r3' });
    expect(ignored()).toEqual(['stopping']);
    expect(drained).toBe(false);
    ponderings[0]?.conclude({ position: 'approve' });
    await drain;
    expect(ballots()).toEqual(['mesh.ballot.r1.v1 approve']);
    expect({ timers: clock.pending, subscriptions: broker.subscriptions }).toEqual({ timers: 0, subscriptions: 0 });
  });

  it('aborts: answers nothing more, so that the restarted voter still has its vote', async () => {
    const controller = new AbortController();
    const { ask, service, ballots, ignored, observer, clock, broker } = voterMesh({ signal: controller.signal });
    await ask();
    controller.abort(new Error('shutdown'));
    await service.drain();
    expect(ballots()).toEqual([]);
    expect(ignored()).toEqual(['stopping']);
    expect(observer.failures).toEqual([]);
    expect({ timers: clock.pending, subscriptions: broker.subscriptions }).toEqual({ timers: 0, subscriptions: 0 });
  });

  it('does not begin to decide after it was aborted', async () => {
    const controller = new AbortController();
    const lookup = Promise.withResolvers<undefined>();
    const { ask, service, ponderings } = voterMesh({ signal: controller.signal }, { recall: () => lookup.promise });
    await ask();
    controller.abort(new Error('shutdown'));
    lookup.resolve(undefined);
    await service.drain();
    expect(ponderings).toEqual([]);
  });

  it('aborts what a drain waits for', async () => {
    const controller = new AbortController();
    const { ask, service, ponderings } = voterMesh({ signal: controller.signal });
    await ask();
    const drain = service.drain();
    controller.abort(new Error('too slow'));
    await drain;
    expect(ponderings[0]?.signal.aborted).toBe(true);
  });

  it('leaves no listener on a signal that outlives it', async () => {
    const { signal } = new AbortController();
    const { service } = voterMesh({ signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await service.drain();
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
