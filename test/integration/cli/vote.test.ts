import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encode } from '../../../shared/protocol/codec.ts';
import type { VoteRequest } from '../../../shared/protocol/vote.ts';
import { presence } from '../../unit/cli/records.ts';
import { openTestMesh, type TestMesh } from './mesh.ts';

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await openTestMesh();
});
afterAll(() => mesh.close());

type Positions = Readonly<Record<string, string | undefined>>;

/** Voters of a capability of their own, present and answering (undefined: they do not). Returns how often they were asked. */
async function electorate(capability: string, positions: Positions, weights: Readonly<Record<string, number>> = {}) {
  const asked: VoteRequest[] = [];
  for (const agentId of Object.keys(positions)) {
    const weight = weights[agentId];
    await mesh.join(presence({ agentId, capabilities: [capability], ...(weight === undefined ? {} : { weight }) }));
  }
  mesh.bus.subscribe(mesh.subjects.vote(capability), ({ data, reply }) => {
    const request: VoteRequest = JSON.parse(Buffer.from(data).toString());
    asked.push(request);
    for (const [agent, position] of Object.entries(positions)) {
      if (position === undefined) continue;
      const ballot = {
        roundId: request.roundId,
        agent,
        position,
        rationale: `${agent} says so`,
        timestamp: new Date().toISOString(),
      };
      mesh.bus.publish(`${reply}.${agent}`, encode(ballot));
    }
  });
  await mesh.bus.flush();
  return asked;
}

const vote = (...args: readonly string[]) => mesh.run(['vote', 'Ship it?', '--options', 'approve,reject', ...args]);

describe('vote', () => {
  it('holds a round and draws how it was decided', async () => {
    await electorate('three', { a: 'approve', b: 'approve', c: 'reject' });
    const { code, stdout, stderr } = await vote('--electorate', 'three');
    expect(code).toBe(0);
    expect(stderr).toMatch(/^round round-\S+: asking 3 voters/);
    expect(stdout).toMatch(/^approve +2 +█+$/m);
    expect(stdout).toMatch(/^consensus: approve with 2 votes/m);
  });

  it('prints the stored record as JSON, and does not ask again for a round that was decided', async () => {
    const asked = await electorate('stored', { d: 'approve' });
    const args = ['--electorate', 'stored', '--round-id', 'stored-1', '--json'];
    const first = await vote(...args);
    const record = JSON.parse(first.stdout);
    expect(record).toMatchObject({ roundId: 'stored-1', consensus: true, position: 'approve', roster: ['d'] });
    const stored = await mesh.jsm.streams.getMessage(mesh.subjects.dagStream, {
      last_by_subj: mesh.subjects.dagSubject(mesh.subjects.roundKey('stored-1')),
    });
    expect(stored?.json()).toMatchObject(record);
    expect(JSON.parse((await vote(...args)).stdout)).toEqual(record);
    expect(asked).toHaveLength(1);
  });

  it('ends with 1 when there is no consensus, and says why', async () => {
    await electorate('split', { e: 'approve', f: 'reject' });
    const tie = await vote('--electorate', 'split', '--method', 'weighted');
    expect([tie.code, tie.stdout.split('\n').at(-1)]).toEqual([1, expect.stringMatching(/^no consensus: tie, /)]);
    await electorate('absent', { g: undefined, h: 'abstain' });
    const silent = await vote('--electorate', 'absent', '--timeout-ms', '200');
    expect(silent.code).toBe(1);
    expect(silent.stdout).toContain('abstained: h');
    expect(silent.stdout).toContain('no ballot before the deadline: g');
    expect(silent.stdout).toMatch(/^no consensus: insufficient_votes, fewer ballots than the quorum/m);
  });

  it.each<[string, Positions, readonly string[], number, RegExp]>([
    ['approved', { a: 'approve', b: 'approve', c: 'reject' }, [], 0, /^consensus: approve with 2 votes/m],
    ['rejected', { a: 'reject', b: 'reject', c: 'approve' }, [], 0, /^consensus: reject with 2 votes/m],
    ['no_majority', { a: 'approve', b: 'reject', c: 'abstain' }, [], 1, /^no consensus: no_majority, /m],
    [
      'insufficient_votes',
      { a: 'approve', b: undefined },
      ['--timeout-ms', '200'],
      1,
      /^no consensus: insufficient_votes/m,
    ],
    ['tie', { a: 'approve', b: 'approve', c: 'reject', d: 'reject' }, ['--quorum', '2'], 1, /^no consensus: tie, /m],
    ['tie', { a: 'approve', b: 'reject' }, ['--method', 'weighted'], 1, /^no consensus: tie, /m],
    ['approved', { a: 'approve', b: 'approve' }, ['--method', 'unanimous'], 0, /^consensus: approve with 2 votes/m],
    ['no_majority', { a: 'approve', b: 'reject' }, ['--method', 'unanimous'], 1, /^no consensus: no_majority, /m],
    [
      'approved',
      { a: 'approve', b: 'approve' },
      ['--method', 'ahead-by-k', '--k', '2'],
      0,
      /^consensus: approve with 2/m,
    ],
  ])('ends as %s: %j %j', async (outcome, positions, args, code, line) => {
    const capability = `outcome-${crypto.randomUUID().slice(0, 8)}`;
    const named = Object.entries(positions).map(([voter, position]) => [`${voter}-${capability}`, position] as const);
    await electorate(capability, Object.fromEntries(named));
    const roundId = `${outcome}-${capability}`;
    const drawn = await vote('--electorate', capability, '--round-id', roundId, ...args);
    expect(drawn.stdout).toMatch(line);
    expect(drawn.code).toBe(code);
    const { consensus, position, reason } = JSON.parse(
      (await vote('--electorate', capability, '--round-id', roundId, ...args, '--json')).stdout,
    );
    const said = outcome === 'approved' ? 'approve' : outcome === 'rejected' ? 'reject' : outcome;
    expect(consensus ? position : reason).toBe(said);
  });

  it('counts the weights that voters announce, and those of the command line before them', async () => {
    await electorate('heavy', { i: 'approve', j: 'reject' }, { i: 3 });
    const announced = JSON.parse((await vote('--electorate', 'heavy', '--method', 'weighted', '--json')).stdout);
    expect(announced).toMatchObject({
      position: 'approve',
      scores: { approve: 3, reject: 1 },
      rule: { weights: { i: 3 } },
    });
    const given = JSON.parse(
      (await vote('--electorate', 'heavy', '--method', 'weighted', '--weights', 'i=0.5,j=2', '--json')).stdout,
    );
    expect(given).toMatchObject({ position: 'reject', scores: { approve: 0.5, reject: 2 } });
  });

  it('passes the rule on as it was given', async () => {
    const asked = await electorate('ruled', { k: 'approve', l: 'approve' });
    await vote('--electorate', 'ruled', '--method', 'ahead-by-k', '--k', '2', '--quorum', '2');
    await vote('--electorate', 'ruled', '--method', 'weighted', '--threshold', '0.75');
    expect(asked.at(0)?.rule).toMatchObject({ method: 'ahead-by-k', k: 2, quorum: 2 });
    expect(asked.at(-1)?.rule).toMatchObject({ method: 'weighted', threshold: 0.75 });
  });

  it('ends with 1 when nobody may vote, and with 2 for a rule or a weight that cannot be', async () => {
    const nobody = await vote('--electorate', 'juggle');
    expect(nobody.code).toBe(1);
    expect(nobody.stderr).toMatch(/^conclave: no present agent has the capability "juggle": present are .*three/);
    const stranger = await vote('--electorate', 'three', '--method', 'weighted', '--weights', 'zed=2');
    expect([stranger.code, stranger.stderr]).toEqual([
      2,
      'conclave: --weights: zed cannot vote here; voters are a, b, c',
    ]);
  });

  it('gives voters what they shall judge by', async () => {
    const asked = await electorate('informed', { m: 'approve' });
    const { code } = await vote('--electorate', 'informed', '--input', 'LICENSE');
    expect(code).toBe(0);
    expect(asked[0]?.context).toEqual({ text: readFileSync('LICENSE', 'utf8') });
    expect((await vote('--electorate', 'informed', '--input', 'no-such-file')).code).toBe(2);
  });
});
