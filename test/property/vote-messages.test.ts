/** The compiled checks of vote requests and ballots against the schemas that they are made from. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decode, encode } from '../../shared/protocol/codec.ts';
import { Ballot, decodeBallot, decodeVoteRequest, VoteRequest } from '../../shared/protocol/vote.ts';

/** Mostly as it should be. */
const mostly = (right: readonly string[], wrong: readonly string[]) =>
  fc.oneof({ weight: 19, arbitrary: fc.constantFrom(...right) }, fc.constantFrom(...wrong));
const id = mostly(['a', 'v-1', 'x'.repeat(64), '__proto__'], ['x'.repeat(65), '', 'a.b', '*']);
const time = mostly(['2030-01-01T00:00:00.000Z'], ['2030-02-30T00:00:00.000Z', '2030-01-01T00:00:00Z', 'soon']);
const position = mostly(['approve', 'reject', 'x'.repeat(256)], ['abstain', '', 'x'.repeat(257)]);
const anything = fc.jsonValue({ maxDepth: 3 });

/** Some fields are missing, some are something else. */
function around(fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> {
  const spoiled = Object.entries(fields).map(([name, field]) => {
    const missing = fc.constant(undefined);
    return [name, fc.oneof({ weight: 38, arbitrary: field }, anything, missing)] as const;
  });
  return fc.record({ ...Object.fromEntries(spoiled), unknown: anything });
}

const rule = fc.record(
  {
    method: mostly(['majority', 'weighted', 'unanimous', 'ahead-by-k'], ['dice']),
    quorum: fc.integer({ min: 0, max: 9 }),
    threshold: fc.double({ noNaN: true, min: -0.1, max: 1.1 }),
    weights: fc.dictionary(id, fc.integer({ min: -1, max: 99 }), { maxKeys: 2 }),
  },
  { requiredKeys: ['method'] },
);

const requests = around({
  roundId: id,
  proposal: fc.string(),
  context: anything,
  options: fc.array(position, { maxLength: 3 }),
  rule,
  roster: fc.array(id, { maxLength: 3 }),
  deadline: time,
  correlationId: mostly(['c'], ['']),
});

const ballots = around({ roundId: id, agent: id, position, rationale: fc.string(), timestamp: time });

it('takes and refuses the same requests, with the same words', () => {
  fc.assert(
    fc.property(requests, (request) => {
      const data = encode(request);
      expect(decodeVoteRequest(data)).toStrictEqual(decode(VoteRequest, data));
    }),
    { numRuns: 2_000 },
  );
});

it('takes and refuses the same ballots, with the same words', () => {
  fc.assert(
    fc.property(ballots, (ballot) => {
      const data = encode(ballot);
      expect(decodeBallot(data)).toStrictEqual(decode(Ballot, data));
    }),
    { numRuns: 2_000 },
  );
});

it('takes many and refuses many, so that both are compared', () => {
  const taken = fc.sample(requests, 1_000).filter((request) => decodeVoteRequest(encode(request)).ok).length;
  expect(taken).toBeGreaterThan(100);
  expect(taken).toBeLessThan(900);
});

it.each(['{"__proto__":{"x":1}}', '[{"a":{"__proto__":1,"b":2}}]', '{"constructor":{"prototype":{}}}', 'null', '7'])(
  'a context hands on no prototype: %s',
  (context) => {
    const request = `{"roundId":"r","proposal":"p","context":${context},"options":["a"],"rule":{"method":"majority"},
      "roster":["v"],"deadline":"2030-01-01T00:00:00.000Z","correlationId":"c"}`;
    const decoded = decodeVoteRequest(Buffer.from(request));
    expect(decoded).toEqual(decode(VoteRequest, Buffer.from(request)));
    expect(decoded.ok && JSON.stringify(decoded.value.context).includes('__proto__')).toBe(false);
    expect(decoded.ok).toBe(true);
  },
);
