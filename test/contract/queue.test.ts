/** Work queues and the bus: credit, leases and redelivery in memory are those of the broker. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Delivery, Incoming } from '../../shared/ports.ts';
import { encode } from '../../shared/protocol/codec.ts';
import { KINDS, type Member, type Parts } from './parts.ts';

const CAPABILITY = 'echo';

describe.each(KINDS)('on %s', (_name, open) => {
  let parts: Parts;
  let one: Member;
  let other: Member;

  beforeEach(async () => {
    parts = await open();
    one = await parts.member('one');
    other = await parts.member('other');
  });
  afterEach(() => parts.end());

  async function send(...taskIds: readonly string[]): Promise<void> {
    const writes = taskIds.map((taskId) => ({
      subject: parts.subjects.readySubject(CAPABILITY, 'g', taskId),
      data: encode({ taskId }),
    }));
    await parts.during(one.store.commit(writes));
  }

  const taskOf = (delivery: Delivery | undefined): string => delivery?.subject.split('.').at(-1) ?? '';
  const empty = async (): Promise<boolean> => {
    const state = await parts.state(CAPABILITY);
    return state !== undefined && state.waiting + state.held === 0;
  };

  describe('a queue', () => {
    beforeEach(() => parts.queue(CAPABILITY));

    it('hands out as much as there is credit, in order, and more with more credit', async () => {
      await send('a', 'b', 'c', 'd');
      const got: Delivery[] = [];
      const pull = one.pull(CAPABILITY, (delivery) => {
        got.push(delivery);
        if (got.length <= 2) delivery.extend();
        else delivery.ack();
      });
      pull.request(2);
      await parts.until('two were handed out', () => got.length === 2);
      // The broker's own count, taken after the second arrived: nothing else is under way.
      expect(await parts.state(CAPABILITY)).toMatchObject({ waiting: 2, held: 2 });
      expect(got.map(taskOf)).toEqual(['a', 'b']);
      for (const delivery of got.slice()) delivery.ack();
      pull.request(2);
      await parts.until('everything was handed out and acknowledged', async () => got.length >= 4 && (await empty()));
      expect(got.map(taskOf)).toEqual(['a', 'b', 'c', 'd']);
      await pull.stop();
    });

    it('says of each delivery what it is', async () => {
      await send('a');
      const got: Delivery[] = [];
      const pull = one.pull(CAPABILITY, (delivery) => {
        got.push(delivery);
        delivery.ack();
      });
      pull.request(1);
      await parts.until('it arrived', () => got.length === 1);
      const [delivery] = got;
      expect(delivery).toMatchObject({
        subject: parts.subjects.readySubject(CAPABILITY, 'g', 'a'),
        sequence: 1,
        deliveries: 1,
      });
      expect(delivery?.storedAt).toBeGreaterThan(0);
      expect(new TextDecoder().decode(delivery?.data)).toBe('{"taskId":"a"}');
      await parts.until('the queue is empty', empty);
      expect(await parts.state(CAPABILITY)).toEqual({ waiting: 0, held: 0, deliveredUpTo: 1 });
      await pull.stop();
    });

    it.each([0, 50])('hands an item out again, counted, %i ms after it was given back', async (delayMs) => {
      await send('a');
      const counts: number[] = [];
      const pull = one.pull(CAPABILITY, (delivery) => {
        counts.push(delivery.deliveries);
        if (delivery.deliveries < 3) delivery.retry(delayMs);
        else delivery.ack();
        pull.request(1);
      });
      pull.request(1);
      await parts.until('the queue is empty', async () => counts.length === 3 && (await empty()));
      expect(counts).toEqual([1, 2, 3]);
      await pull.stop();
    });

    it('hands an item out again, counted, when its holder died', async () => {
      await send('a');
      const mine: Delivery[] = [];
      one.pull(CAPABILITY, (delivery) => mine.push(delivery)).request(1);
      await parts.until('the first has it', () => mine.length === 1);
      await one.kill();
      const theirs: Delivery[] = [];
      const pull = other.pull(CAPABILITY, (delivery) => {
        theirs.push(delivery);
        delivery.ack();
      });
      pull.request(1);
      await parts.until('the second has it', async () => theirs.length === 1 && (await empty()));
      expect(theirs[0]).toMatchObject({ deliveries: 2, sequence: mine[0]?.sequence });
      await pull.stop();
    });

    it('takes the acknowledgement of a holder that lost its lease: it never fences', async () => {
      await send('a');
      const got: Delivery[] = [];
      const pull = one.pull(CAPABILITY, (delivery) => {
        got.push(delivery);
        pull.request(1);
      });
      pull.request(1);
      await parts.until('it came a second time', () => got.length >= 2);
      got[0]?.ack();
      expect(got[1]).toMatchObject({ deliveries: 2, sequence: got[0]?.sequence });
      await parts.until('the queue is empty', empty);
      await pull.stop();
    });

    it('keeps items that came before anybody asked', async () => {
      await send('a', 'b');
      expect(await parts.state(CAPABILITY)).toEqual({ waiting: 2, held: 0, deliveredUpTo: 0 });
    });
  });

  it('a capability that nobody ever had has no queue', async () => {
    expect(await parts.state('unheard-of')).toBeUndefined();
  });

  describe('the bus', () => {
    it('brings a message to every subscriber of its subject, with reply and headers', async () => {
      const got: [string, Incoming][] = [];
      one.bus.subscribe(`${parts.subjects.mesh}.msg.*.b.>`, (message) => got.push(['one', message]));
      other.bus.subscribe(`${parts.subjects.mesh}.msg.>`, (message) => got.push(['other', message]));
      other.bus.subscribe(`${parts.subjects.mesh}.vote.>`, (message) => got.push(['wrong', message]));
      await parts.during(Promise.all([one.bus.flush(), other.bus.flush()]));
      one.bus.publish(parts.subjects.message('a', 'b', 'hello'), encode('hi'), {
        reply: `${parts.subjects.inbox('a')}.1`,
        headers: { traceparent: '00-1' },
      });
      await parts.until('both have it', () => got.length === 2);
      expect(got.map(([name]) => name).toSorted()).toEqual(['one', 'other']);
      for (const [, message] of got) {
        expect(message).toMatchObject({
          subject: parts.subjects.message('a', 'b', 'hello'),
          reply: `${parts.subjects.inbox('a')}.1`,
        });
        expect([message.header('traceparent'), message.header('none')]).toEqual(['00-1', undefined]);
        expect(new TextDecoder().decode(message.data)).toBe('"hi"');
      }
    });

    it('brings a message to one of a queue group, and to nobody who left', async () => {
      const got: string[] = [];
      const subject = parts.subjects.message('a', 'b', 'job');
      one.bus.subscribe(subject, () => got.push('one'), { queue: 'workers' });
      const leave = other.bus.subscribe(subject, () => got.push('other'), { queue: 'workers' });
      const witness: string[] = [];
      other.bus.subscribe(subject, () => witness.push('seen'));
      await parts.during(Promise.all([one.bus.flush(), other.bus.flush()]));
      for (let count = 0; count < 20; count += 1) one.bus.publish(subject, encode(count));
      await parts.until('all were seen', () => witness.length === 20 && got.length >= 20);
      expect(got.length).toBe(20);
      leave();
      await parts.during(other.bus.flush());
      got.length = 0;
      for (let count = 0; count < 20; count += 1) one.bus.publish(subject, encode(count));
      await parts.until('all were seen again', () => witness.length === 40 && got.length >= 20);
      expect(new Set(got)).toEqual(new Set(['one']));
    });
  });
});
