/** What an agent's model is told before it says how a goal that nobody planned goes on. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { decideNext } from '../../../shared/runtime/peers/next.ts';
import { type FakeOptions, fakeContext, present } from '../../support/fake-context.ts';

const CAPABILITY = { description: '', input: z.unknown(), output: z.unknown(), run: () => Promise.resolve(null) };

function decide(options: FakeOptions<unknown>) {
  const replies = { next: () => ({ step: 'hand_on', capability: 'write', note: 'Go on', parts: null }) };
  const fake = fakeContext({ ...options, replies, agents: [present('ann', 'write')] });
  const manifest = { usesModel: true, mayMessage: [] };
  const peer = { role: 'work' as const, turn: 2, hops: 1 };
  const { context } = fake;
  const decided = decideNext({ manifest, capability: CAPABILITY, context, peer, output: { by: 'ann' }, asksLeft: 0 });
  return decided.then((said) => ({ said, asked: fake.asked[0]?.user }));
}

describe('the question what is next', () => {
  it('says which parts failed, the latest of them in few words', async () => {
    const failures = Array.from({ length: 20 }, (_, index) => ({
      taskId: `p1-${index}`,
      description: `code says: part ${index} ${'x'.repeat(500)}`,
      error: { code: 'broken', message: 'y'.repeat(500) },
    }));
    const { said, asked } = await decide({ failures });
    expect(said).toEqual({ ok: true, step: { kind: 'hand_on', capability: 'write', note: 'Go on' } });
    const failed = z.array(z.object({ part: z.string(), error: z.string() })).parse(asked?.['failed']);
    expect(failed.map(({ part }) => part.slice(0, 17).trim())).toEqual(
      failures.slice(4).map(({ description }) => description.slice(0, 17).trim()),
    );
    for (const { part, error } of failed) expect([part.length, error.length]).toEqual([200, 200]);
  });

  it('says nothing of parts where none failed', async () => {
    expect((await decide({})).asked).not.toHaveProperty('failed');
  });
});
