import { describe, expect, it } from 'vitest';
import { createFaultPlan, FAULTS, type Fault, type FaultRates, parseRates } from '../../../services/model/faults.ts';
import { spoiled } from '../../../services/model/spoil.ts';

const rates = (text: string): FaultRates => {
  const parsed = parseRates(text);
  if (parsed === undefined) throw new Error(`expected ${text} to be rates`);
  return parsed;
};

describe('parseRates', () => {
  it('reads faults and their rates', () => {
    expect([...rates(' 429:0.1, hang:.05,drip:1e0'.replace(',drip:1e0', ''))]).toEqual([
      ['429', 0.1],
      ['hang', 0.05],
    ]);
    expect(rates('').size).toBe(0);
    expect(rates('429:0.1,500:0.2,hang:0.7').size).toBe(3);
  });

  it.each(['429', '429:', '429:x', '429:0.1:2', '429:-1', 'nope:0.1', '429:0.1,429:0.1', '429:0.6,500:0.6', '429:1e9'])(
    'refuses %j',
    (text) => {
      expect(parseRates(text)).toBeUndefined();
    },
  );
});

describe('a fault plan', () => {
  const MIX = '429:0.1,500:0.1,hang:0.05,drip:0.05,garbage:0.05,oversize:0.02,cyclic:0.02,unsupported:0.1';
  const served = (seed: string, schema: string, bodies: readonly string[]) => {
    const plan = createFaultPlan(rates(MIX), seed);
    return bodies.map((body) => plan.take(schema, body)?.fault);
  };
  const bodies = Array.from({ length: 2000 }, (_, index) => `body ${index}`);

  it('draws the same for the same seed, whatever the order in which requests arrive', () => {
    const forward = served('7', 'brief', bodies);
    expect(served('7', 'brief', bodies)).toEqual(forward);
    expect(served('7', 'brief', bodies.toReversed()).toReversed()).toEqual(forward);
    expect(served('8', 'brief', bodies)).not.toEqual(forward);
  });

  it('draws anew when the same body comes again, so that a retry may succeed', () => {
    const again = served(
      '7',
      'brief',
      Array.from({ length: 200 }, () => 'the same'),
    );
    expect(new Set(again).size).toBeGreaterThan(3);
    expect(again).toContain(undefined);
  });

  it('serves the rates that were asked for', () => {
    const counts = Map.groupBy(served('7', 'brief', bodies), (fault) => fault);
    const share = (fault: Fault) => (counts.get(fault)?.length ?? 0) / bodies.length;
    for (const [fault, rate] of rates(MIX)) {
      const expected = fault === 'cyclic' ? 0 : rate;
      expect(Math.abs(share(fault) - expected)).toBeLessThan(0.02);
    }
  });

  it('gives faults of meaning only to answers that have one', () => {
    expect(served('7', 'plan', bodies)).toContain('cyclic');
    expect(served('7', 'plan', bodies)).not.toContain('unsupported');
    expect(served('7', 'ballot', bodies)).not.toContain('unsupported');
  });

  it('serves what is queued first, in order, each to the schema it is for', () => {
    const plan = createFaultPlan(rates(''), '1');
    plan.queue([
      { fault: '500', schema: 'facts' },
      { fault: 'hang' },
      { fault: 'cyclic' },
      { fault: '429', retryAfter: '9' },
    ]);
    expect(plan.take('brief', 'x')).toEqual({ fault: 'hang' });
    expect(plan.take('brief', 'x')).toEqual({ fault: '429', retryAfter: '9' });
    expect(plan.take('brief', 'x')).toBeUndefined();
    expect(plan.take('facts', 'x')).toEqual({ fault: '500', schema: 'facts' });
    expect(plan.take('plan', 'x')).toEqual({ fault: 'cyclic' });
    expect(plan.pending()).toEqual([]);
  });

  it('takes other rates while it runs', () => {
    const plan = createFaultPlan(rates(''), '1');
    expect(plan.take('brief', 'x')).toBeUndefined();
    plan.setRates(rates('reset:1'));
    expect(plan.take('brief', 'x')).toEqual({ fault: 'reset' });
  });
});

describe('spoiled answers', () => {
  const brief = '{"title":"t","statements":[{"text":"a","quote":"a"}]}';

  it('are wrong in the way their name says', () => {
    expect(() => void JSON.parse(spoiled('garbage', brief))).toThrow(SyntaxError);
    expect(JSON.parse(spoiled('wrong-shape', brief))).toBeInstanceOf(Array);
    expect(JSON.parse(spoiled('wrong-shape', '[1]'))).not.toBeInstanceOf(Array);
    expect(JSON.parse(spoiled('unsupported', brief)).statements).toHaveLength(2);
    const steps = {
      steps: [
        { id: 'x', dependsOn: [] },
        { id: 'y', dependsOn: ['x'] },
      ],
    };
    expect(JSON.parse(spoiled('cyclic', JSON.stringify(steps))).steps[0].dependsOn).toEqual(['y']);
    const hostile = JSON.parse(spoiled('hostile', brief));
    expect(Object.hasOwn(hostile, '__proto__')).toBe(true);
    expect(hostile).toMatchObject({ title: 't', budget: { usd: 1_000_000 } });
    expect(Object.hasOwn(JSON.parse(spoiled('hostile', '{}')), '__proto__')).toBe(true);
  });

  it('are left alone by faults of transport, and where there is nothing to spoil', () => {
    const transport = FAULTS.filter(
      (fault) => !['garbage', 'wrong-shape', 'hostile', 'cyclic', 'unsupported'].includes(fault),
    );
    for (const fault of [undefined, ...transport]) expect(spoiled(fault, brief)).toBe(brief);
    expect(spoiled('cyclic', brief)).toBe(brief);
    expect(spoiled('unsupported', '{"steps":[]}')).toBe('{"steps":[]}');
  });
});
