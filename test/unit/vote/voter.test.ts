import { describe, expect, it } from 'vitest';
import { encode } from '../../../shared/protocol/codec.ts';
import { HandlerError } from '../../../shared/runtime/context.ts';
import type { Opinion, VoterOptions } from '../../../shared/runtime/vote/voter.ts';
import { ballotOf, subjects } from './fixture.ts';
import { approve, ballotIn, voterMesh } from './voter-mesh.ts';

describe('serveVotes', () => {
  it('answers on the subject of the round under its own token', async () => {
    const { ask, ballots, lastBallot, observer } = voterMesh({ decide: approve });
    await ask();
    expect(ballots()).toEqual(['mesh.ballot.round.v1 approve']);
    expect(lastBallot()).toEqual(ballotOf('v1', 'approve', { confidence: 0.5, rationale: 'sound' }));
    expect(observer.answers).toMatchObject([{ roundId: 'round', correlationId: 'c-1', repeated: false }]);
  });

  it('carries the trace of the request on', async () => {
    const { ask, broker } = voterMesh({ decide: approve });
    const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`;
    await ask({}, { headers: { traceparent } });
    expect(broker.published.at(-1)?.headers).toEqual({ traceparent });
  });

  it('carries no trace on that is none', async () => {
    const { ask, broker } = voterMesh({ decide: approve });
    await ask({}, { headers: { traceparent: '00-1-2-01' } });
    expect(broker.published.at(-1)?.headers).toEqual({});
  });

  it('never answers where a request would have it answer', async () => {
    const { ask, ballots, ignored } = voterMesh({ decide: approve });
    for (const reply of [
      '$JS.API.STREAM.DELETE.mesh_dag',
      'mesh.ballot.other',
      'mesh.ballot.round.v1',
      'mesh.inbox.v2.x',
    ]) {
      await ask({}, { reply });
    }
    expect(ignored()).toEqual(['foreign_reply', 'foreign_reply', 'foreign_reply', 'foreign_reply']);
    expect(ballots()).toEqual([]);
  });

  it('ignores a request without a reply subject', async () => {
    const { broker, clock, ignored, ballots, ask } = voterMesh({ decide: approve });
    await ask({ roundId: 'first' });
    const [first] = broker.published;
    broker.connect('mute').publish(subjects.vote('review'), first?.data ?? encode({}));
    await clock.advance(1);
    expect(ignored()).toEqual(['foreign_reply']);
    expect(ballots()).toHaveLength(1);
  });

  it('ignores what is malformed, not for it, or over', async () => {
    const { ask, broker, clock, observer, ballots, ignored, ponderings } = voterMesh();
    broker.connect('raw').publish(subjects.vote('review'), new Uint8Array([0x7b]), { reply: 'mesh.ballot.round' });
    await clock.advance(1);
    await ask({ roster: ['v2'] });
    await ask({ deadline: '2029-12-31T23:59:59.999Z' });
    expect(ignored()).toEqual(['malformed', 'not_in_roster', 'deadline_passed']);
    expect(ponderings).toEqual([]);
    expect(observer.ignores[0]).toMatchObject({
      message: { subject: 'mesh.vote.review', data: new Uint8Array([0x7b]) },
    });
    expect(ballots()).toEqual([]);
  });

  it('answers for each of its capabilities, and no other', async () => {
    const { broker, clock, ballots } = voterMesh({ decide: approve, capabilities: ['code', 'review', 'code'] });
    const proposer = broker.connect('p');
    for (const capability of ['code', 'review', 'plan']) {
      const request = {
        roundId: `on-${capability}`,
        proposal: '',
        options: ['approve'],
        rule: { method: 'majority' },
        roster: ['v1'],
        deadline: '2030-01-01T00:00:03.000Z',
        correlationId: 'c',
      };
      proposer.publish(subjects.vote(capability), encode(request), { reply: subjects.ballots(request.roundId) });
    }
    await clock.advance(1);
    expect(ballots()).toEqual(['mesh.ballot.on-code.v1 approve', 'mesh.ballot.on-review.v1 approve']);
  });
});

describe('one ballot per round', () => {
  it('decides a round once, however often it is asked, and sends the same ballot again', async () => {
    const { ask, ponderings, broker, ignored, observer, clock } = voterMesh();
    await ask();
    await ask();
    expect(ignored()).toEqual(['in_progress']);
    ponderings[0]?.conclude({ position: 'reject' });
    await clock.advance(100);
    await ask();
    expect(ponderings).toHaveLength(1);
    const [first, second] = broker.published.filter(({ from }) => from === 'v1').map(({ data }) => ballotIn(data));
    expect(second).toEqual(first);
    expect(observer.answers.map(({ repeated }) => repeated)).toEqual([false, true]);
  });

  it('does not send it again once the round is over', async () => {
    const { ask, ballots, clock, ignored } = voterMesh({ decide: approve });
    await ask();
    await clock.advance(3_000);
    await ask();
    expect(ballots()).toHaveLength(1);
    expect(ignored()).toEqual(['deadline_passed']);
  });

  it('remembers the rounds asked last', async () => {
    const { ask, ponderings, clock } = voterMesh({ rememberMax: 2 });
    const answer = async (roundId: string) => {
      await ask({ roundId });
      ponderings.find(({ request }) => request.roundId === roundId)?.conclude({ position: 'approve' });
      await clock.advance(1);
    };
    await answer('one');
    await answer('two');
    await ask({ roundId: 'one' });
    await answer('three');
    await ask({ roundId: 'one' });
    expect(ponderings.map(({ request }) => request.roundId)).toEqual(['one', 'two', 'three']);
    await ask({ roundId: 'two' });
    expect(ponderings.map(({ request }) => request.roundId)).toEqual(['one', 'two', 'three', 'two']);
  });

  it('finds the ballot that it gave before a restart', async () => {
    const earlier = ballotOf('v1', 'reject', { rationale: 'before' });
    const recalled: string[] = [];
    const recall = (roundId: string) => {
      recalled.push(roundId);
      return Promise.resolve(roundId === 'round' ? earlier : undefined);
    };
    const { ask, lastBallot, ponderings } = voterMesh({}, { recall });
    await ask();
    expect(lastBallot()).toEqual(earlier);
    await ask();
    await ask({ roundId: 'new' });
    expect(recalled).toEqual(['round', 'new']);
    expect(ponderings.map(({ request }) => request.roundId)).toEqual(['new']);
  });

  it.each([
    ['another agent', ballotOf('v2', 'reject')],
    ['another round', ballotOf('v1', 'reject', { roundId: 'other' })],
  ])('takes no recalled ballot of %s for its own', async (_of, earlier) => {
    const { ask, lastBallot } = voterMesh({ decide: approve }, { recall: () => Promise.resolve(earlier) });
    await ask();
    expect(lastBallot()).toMatchObject({ roundId: 'round', agent: 'v1', position: 'approve' });
  });

  it('decides anew when its earlier ballot cannot be looked up', async () => {
    const { ask, ballots, observer } = voterMesh(
      { decide: approve },
      { recall: () => Promise.reject(new Error('the log is away')) },
    );
    await ask();
    expect(ballots()).toEqual(['mesh.ballot.round.v1 approve']);
    expect(observer.failures).toMatchObject([{ step: 'recall' }]);
  });
});

describe('a voter that cannot decide abstains', () => {
  it.each([
    [
      'a handler error',
      () => Promise.reject(new HandlerError('model_refused', 'key sk-123 is not valid')),
      'model_refused',
    ],
    ['any other error', () => Promise.reject(new Error('sk-123')), 'handler_error'],
    [
      'a throw',
      () => {
        throw new Error('sk-123');
      },
      'handler_error',
    ],
    [
      'a code that is no code',
      () => Promise.reject(Object.assign(new Error('x'), { code: 'sk 123\n' })),
      'handler_error',
    ],
    ['a position that is no option', () => Promise.resolve({ position: 'perhaps' }), 'position_not_an_option'],
    ['a confidence out of range', () => Promise.resolve({ position: 'approve', confidence: 2 }), 'invalid_ballot'],
  ])('on %s', async (_name, decide, code) => {
    const { ask, lastBallot } = voterMesh({ decide });
    await ask();
    expect(lastBallot()).toEqual(ballotOf('v1', 'abstain', { rationale: `could not decide: ${code}` }));
  });

  it('shortens a rationale that is too long, without breaking a character', async () => {
    const rationale = `${'x'.repeat(65_535)}\u{1f5f3}`;
    const { ask, lastBallot } = voterMesh({ decide: () => Promise.resolve({ position: 'approve', rationale }) });
    await ask();
    expect(lastBallot()).toMatchObject({ position: 'approve', rationale: 'x'.repeat(65_535) });
  });

  it('when its own time is up before the round', async () => {
    const { ask, lastBallot, clock, ponderings } = voterMesh({ decideMsMax: 1_000 });
    await ask();
    await clock.advance(1_000);
    expect(ponderings[0]?.signal.aborted).toBe(true);
    expect(lastBallot()).toMatchObject({ position: 'abstain', rationale: 'could not decide: vote_timeout' });
  });

  it('and names the time, whatever its handler calls that', async () => {
    const decide: VoterOptions['decide'] = (_request, signal) => {
      const { promise, reject } = Promise.withResolvers<Opinion>();
      signal.addEventListener('abort', () => reject(new HandlerError('model_unavailable', 'aborted')));
      return promise;
    };
    const { ask, lastBallot, clock } = voterMesh({ decide, decideMsMax: 1_000 });
    await ask();
    await clock.advance(1_000);
    expect(lastBallot()).toMatchObject({ rationale: 'could not decide: vote_timeout' });
  });

  it('but says nothing when the round is over', async () => {
    const { ask, ballots, clock, ponderings, ignored } = voterMesh();
    await ask();
    await clock.advance(3_000);
    expect(ponderings[0]?.signal.aborted).toBe(true);
    expect(ballots()).toEqual([]);
    expect(ignored()).toEqual(['deadline_passed']);
    expect(clock.pending).toBe(0);
  });
});
