/** Hand-ons in circles: told when the same was said to the same once too often, never before, and whatever the words are. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { delegationCycle, type Handing, SAME_HANDED_ON_MAX } from '../../shared/core/loops.ts';

const capability = fc.constantFrom('think', 'write', '__proto__');
const note = fc.constantFrom('', 'go on', 'your turn', 'constructor');
const handing: fc.Arbitrary<Handing> = fc.record({
  capability,
  step: fc.oneof(
    fc.record({ kind: fc.constant('hand_on' as const), capability, note }),
    fc.record({
      kind: fc.constant('split' as const),
      parts: fc.array(fc.record({ capability, note }), { minLength: 1, maxLength: 2 }),
      capability,
      note,
    }),
    fc.constant({ kind: 'answer' as const }),
    fc.constant(undefined),
  ),
});

/** Few that say different things, so that some of them say the same. */
const trails = fc
  .array(handing, { minLength: 1, maxLength: 4 })
  .chain((few) => fc.array(fc.constantFrom(...few), { minLength: 1, maxLength: 16 }));

/** The dumb second version: counts what equals the last one. */
function timesOfLast(trail: readonly Handing[]): number {
  const last = JSON.stringify(trail.at(-1));
  return trail.filter((each) => JSON.stringify(each) === last).length;
}

describe('a goal that is handed on', () => {
  test('goes in circles exactly when the same was said to the same more often than allowed', () => {
    let cycles = 0;
    fc.assert(
      fc.property(trails, (trail) => {
        const step = trail.at(-1)?.step;
        const told = delegationCycle(trail);
        const expected = step !== undefined && step.kind !== 'answer' && timesOfLast(trail) > SAME_HANDED_ON_MAX;
        if (expected) cycles += 1;
        expect(told?.code).toBe(expected ? 'delegation_cycle' : undefined);
      }),
      { numRuns: 2_000 },
    );
    expect(cycles).toBeGreaterThan(0);
  });

  test('is stopped whatever spaces and letters are changed in between, and the reason names the way', () => {
    const on = (from: string, to: string, text: string): Handing => ({
      capability: from,
      step: { kind: 'hand_on', capability: to, note: text },
    });
    const trail = ['Your turn', 'your  turn', ' YOUR TURN'].flatMap((text) => [
      on('think', 'write', text),
      on('write', 'think', `something new: ${text.length} ${text}`),
    ]);
    expect(delegationCycle(trail)).toBeUndefined();
    expect(delegationCycle([...trail, on('think', 'write', 'your\nturn')])).toMatchObject({
      code: 'delegation_cycle',
      message: expect.stringContaining('4 times: think -> write -> think -> write -> think -> write -> think -> write'),
    });
  });

  test('may say something new for ever: then the hops end it', () => {
    const trail = Array.from(
      { length: 100 },
      (_, index): Handing => ({
        capability: 'think',
        step: { kind: 'hand_on', capability: 'write', note: `${index}` },
      }),
    );
    expect(delegationCycle(trail)).toBeUndefined();
  });
});
