/**
 * What an agent that was taken over could try, against a real broker with the generated users. Each attempt is made twice: it must be denied, and it
 * must succeed for the same user once that very subject is allowed, or the test would prove nothing.
 */
import { connect, nkeyAuthenticator, PermissionViolationError } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newUserKey } from '../../shared/adapters/nats-keys.ts';
import { waitUntil } from '../support/wait.ts';
import { MESH, type Secured, startSecured, type Watched } from './secured.ts';

const ATTACKER = 'echo-1';
const DAG = `KV_${MESH}_dag`;

interface Attempt {
  readonly what: string;
  readonly operation: 'publish' | 'subscribe';
  readonly subject: string;
}

const publish = (what: string, subject: string): Attempt => ({ what, operation: 'publish', subject });
const subscribe = (what: string, subject: string): Attempt => ({ what, operation: 'subscribe', subject });

const ATTEMPTS: readonly Attempt[] = [
  publish("writes under another agent's sender token", `${MESH}.msg.coder-1.review.order`),
  publish('writes to an agent that its manifest does not name', `${MESH}.msg.${ATTACKER}.coder-1.order`),
  publish('asks an agent that its manifest does not name', `${MESH}.msg.${ATTACKER}.coder-1.question`),
  publish("announces work in another agent's name", `${MESH}.msg.coder-1.researcher-1.announce`),
  publish("hands work over in another agent's name", `${MESH}.msg.coder-1.researcher-1.handover`),
  publish("bids in another agent's name", `${MESH}.inbox.coder-1.reply.researcher-1.x`),
  publish("votes in another agent's name", `${MESH}.ballot.round-1.reviewer-1`),
  publish("writes another agent's presence", `$KV.${MESH}_agents.agent.coder-1`),
  publish('submits a goal', `${MESH}.goals.submit`),
  publish('cancels a goal', `${MESH}.goals.cancel`),
  subscribe("reads another agent's inbox", `${MESH}.inbox.coder-1.>`),
  subscribe("reads another agent's messages", `${MESH}.msg.*.coder-1.*`),
  subscribe('subscribes to everything', '>'),
  publish('pulls a capability that is not in its manifest', `$JS.API.CONSUMER.MSG.NEXT.${DAG}.cap-code`),
  publish('acknowledges the work of another capability', `$JS.ACK.${DAG}.cap-code.1.1.1.1.1`),
  publish('creates a consumer', `$JS.API.CONSUMER.CREATE.${DAG}`),
  publish('creates a named consumer', `$JS.API.CONSUMER.CREATE.${DAG}.mine.${MESH}.ready.code.>`),
  publish('creates a durable consumer', `$JS.API.CONSUMER.DURABLE.CREATE.${DAG}.cap-code`),
  publish('deletes a consumer', `$JS.API.CONSUMER.DELETE.${DAG}.cap-code`),
  publish("reads other agents' messages in the log", `$JS.API.DIRECT.GET.${MESH}_log.${MESH}.msg.coder-1.review.x`),
  publish('reads the log as a whole', `$JS.API.STREAM.MSG.GET.${MESH}_log`),
  publish('creates a stream', '$JS.API.STREAM.CREATE.mine'),
  publish('changes a stream', `$JS.API.STREAM.UPDATE.${DAG}`),
  publish('deletes a record', `$JS.API.STREAM.MSG.DELETE.${DAG}`),
  publish('purges a stream', `$JS.API.STREAM.PURGE.${MESH}_goals`),
  publish('deletes a bucket', `$JS.API.STREAM.DELETE.${DAG}`),
  publish('takes part in the broker itself', '$SYS.REQ.SERVER.PING'),
];

/** Makes the attempt, and waits until the broker has answered everything before the answer that follows. */
async function attempt({ nc, denied }: Watched, { operation, subject }: Attempt): Promise<boolean> {
  const before = denied.length;
  let unheard = false;
  if (operation === 'publish') nc.publish(subject, '{}');
  else nc.subscribe(subject, { callback: (error) => void (unheard ||= error instanceof PermissionViolationError) });
  await nc.flush();
  await nc.flush();
  if (unheard) return true;
  return denied.slice(before).some((one) => one.operation === operation && one.subject === subject);
}

describe('an agent that was taken over', () => {
  let narrow: Secured;
  let wide: Secured;
  let held: Watched;
  let free: Watched;

  beforeAll(async () => {
    const allowed = (operation: Attempt['operation']): string[] =>
      ATTEMPTS.filter((one) => one.operation === operation).map(({ subject }) => subject);
    [narrow, wide] = await Promise.all([
      startSecured(),
      startSecured({ user: ATTACKER, publish: allowed('publish'), subscribe: allowed('subscribe') }),
    ]);
    [held, free] = await Promise.all([narrow.connectAs(ATTACKER), wide.connectAs(ATTACKER)]);
  });
  afterAll(async () => {
    await Promise.all([held.nc.close(), free.nc.close()]);
    await Promise.all([narrow.stop(), wide.stop()]);
  });

  it.each(ATTEMPTS)('is denied when it $what ($subject)', async (one) => {
    expect(await attempt(held, one), 'denied').toBe(true);
    expect(await attempt(free, one), 'denied although it was allowed').toBe(false);
  });

  it('cannot be anybody: no key, and a key that nobody knows, are refused', async () => {
    const seed = (text: string) => nkeyAuthenticator(new TextEncoder().encode(text));
    const options = { servers: narrow.broker.url, reconnect: false };
    await expect(connect(options)).rejects.toThrow(/[Aa]uthorization/);
    await expect(connect({ ...options, authenticator: seed(newUserKey().seed) })).rejects.toThrow(/[Aa]uthorization/);
    const known = await connect({ ...options, authenticator: seed(narrow.seed(ATTACKER)) });
    await known.close();
  });

  it('finds nothing gone after all of this', async () => {
    const admin = await narrow.connectAs('admin');
    const answer = await waitUntil('the streams are listed', () => admin.nc.request('$JS.API.STREAM.NAMES', ''));
    const { streams } = answer.json<{ streams: string[] }>();
    expect(streams.toSorted()).toEqual(
      [`KV_${MESH}_agents`, DAG, `OBJ_${MESH}_blobs`, `${MESH}_dead`, `${MESH}_goals`, `${MESH}_log`].toSorted(),
    );
    const gone = await wide.connectAs('admin');
    const left = (await gone.nc.request('$JS.API.STREAM.NAMES', '')).json<{ streams: string[] }>();
    expect(left.streams).not.toContain(DAG);
    await Promise.all([admin.nc.close(), gone.nc.close()]);
  });
});

describe('an agent', () => {
  let secured: Secured;
  beforeAll(async () => {
    secured = await startSecured();
  });
  afterAll(() => secured.stop());

  it.each([
    publish('announces work to everybody', `${MESH}.msg.coder-1.echo-1.announce`),
    publish('hands work over to whom it is meant for', `${MESH}.msg.coder-1.echo-1.handover`),
    publish('bids', `${MESH}.inbox.researcher-1.reply.coder-1.x`),
    publish('asks an agent with a capability that its manifest names', `${MESH}.msg.coder-1.researcher-2.question`),
    publish('pulls auctions', `$JS.API.CONSUMER.MSG.NEXT.${DAG}.cap-auction`),
    publish('acknowledges auctions', `$JS.ACK.${DAG}.cap-auction.1.1.1.1.1`),
  ])('is not denied when it $what', async (one) => {
    const coder = await secured.connectAs('coder-1');
    expect(await attempt(coder, one)).toBe(false);
    await coder.nc.close();
  });
});

describe('whoever hands goals in', () => {
  let secured: Secured;
  beforeAll(async () => {
    secured = await startSecured();
  });
  afterAll(() => secured.stop());

  it.each([
    publish('works', `$JS.API.CONSUMER.MSG.NEXT.${DAG}.cap-echo`),
    publish('changes a record', `$KV.${MESH}_dag.goal.g`),
    publish('makes work', `${MESH}.ready.echo.g.t`),
    publish('speaks as an agent', `${MESH}.msg.coder-1.review.x`),
    publish('votes', `${MESH}.ballot.r.reviewer-1`),
    publish('reads the log', `$JS.API.STREAM.MSG.GET.${MESH}_log`),
    subscribe('listens', `${MESH}.msg.>`),
  ])('is denied when it $what', async (one) => {
    const submitter = await secured.connectAs('submitter');
    expect(await attempt(submitter, one)).toBe(true);
    expect(await attempt(submitter, publish('submits', `${MESH}.goals.submit`))).toBe(false);
    await submitter.nc.close();
  });

  it.each([publish('cancels', `${MESH}.goals.cancel`), publish('asks what agents still run', '$SRV.STATS')])(
    'is not denied when it $what',
    async (one) => {
      const submitter = await secured.connectAs('submitter');
      expect(await attempt(submitter, one)).toBe(false);
      await submitter.nc.close();
    },
  );
});
