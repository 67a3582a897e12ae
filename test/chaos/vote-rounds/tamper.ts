/** Does the checker see? Records are deleted and forged by hand, and it must name each. */
import { jetstream, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { jsonOf } from '../../support/foreign.ts';
import { ForeignRound } from '../../support/foreign-records.ts';
import { waitUntil } from '../../support/wait.ts';
import { verdictOf } from './verdict.ts';

const COPIED_MS_MAX = 60_000;

interface Tampered {
  readonly nc: NatsConnection;
  readonly url: string;
  readonly mesh: string;
  readonly rounds: number;
}

interface Sight {
  readonly what: string;
  readonly found: boolean;
}

/** Leaves the streams forged: nothing can be judged by them afterwards. */
export async function tamper({ nc, url, mesh, rounds }: Tampered): Promise<readonly Sight[]> {
  const jsm = await jetstreamManager(nc);
  const js = jetstream(nc);
  const subject = (roundId: string): string => `$KV.${mesh}_dag.round.${roundId}`;
  const roundOf = async (roundId: string): Promise<ForeignRound> => {
    const stored = await jsm.streams.getMessage(`KV_${mesh}_dag`, { last_by_subj: subject(roundId) });
    return ForeignRound.parse(jsonOf(stored?.data ?? new Uint8Array()));
  };
  const some: ForeignRound[] = [];
  for (let number = 1; some.length < 4; number += 1) {
    const round = await roundOf(`r${number}`);
    if (round.consensus && round.ballots.length > 1) some.push(round);
  }
  const [gone, unsent, turned, stuffed] = some;
  if (gone === undefined || unsent === undefined || turned === undefined || stuffed === undefined)
    throw new Error('expected four rounds with a decision to tamper with');

  // The mesh's own streams let nobody delete a record: this is done to copies.
  const dag = await copyOf(jsm, `KV_${mesh}_dag`);
  const log = await copyOf(jsm, `${mesh}_log`);
  await remove(jsm, dag, subject(gone.roundId));
  const [voter] = unsent.ballots;
  const deleted = await remove(jsm, log, `${mesh}.ballot.${unsent.roundId}.${voter?.agent ?? ''}`);
  const copies = await verdictOf({ url, mesh, rounds, dag, log });

  const store = async (roundId: string, change: Partial<ForeignRound>): Promise<void> => {
    const round = await roundOf(roundId);
    await js.publish(subject(roundId), JSON.stringify({ ...round, ...change }));
  };
  await store(turned.roundId, { position: turned.options.find((option) => option !== turned.position) ?? '' });
  await store(stuffed.roundId, { ballots: [...stuffed.ballots, ...stuffed.ballots.slice(0, 1)] });
  const forged = await verdictOf({ url, mesh, rounds });

  const says = ({ report, exitCode }: typeof forged, line: RegExp): boolean =>
    exitCode === 1 && report.violations.some((violation) => line.test(violation));
  return [
    {
      what: `that the decision of ${gone.roundId} was deleted`,
      found: says(copies, new RegExp(`^${gone.roundId}: asked, and never decided`)),
    },
    {
      what: `that ${deleted} ballots of ${voter?.agent ?? ''} in ${unsent.roundId} were deleted`,
      found: says(copies, new RegExp(`^${unsent.roundId}: ${voter?.agent ?? ''} sent nothing`)),
    },
    {
      what: `a second decision of ${turned.roundId}`,
      found: says(forged, new RegExp(`^${turned.roundId}: decided 2 times`)) && forged.report.decidedTwice === 2,
    },
    {
      what: `a ballot that ${stuffed.roundId} counts twice`,
      found: says(forged, new RegExp(`^${stuffed.roundId}: \\S+ counts twice`)) && forged.report.countedTwice === 1,
    },
  ];
}

/** A stream of the broker's own making with all that the other one holds, and without its protection. */
async function copyOf(jsm: JetStreamManager, stream: string): Promise<string> {
  const name = `copy_of_${stream}`;
  const { messages } = (await jsm.streams.info(stream)).state;
  await jsm.streams.add({ name, mirror: { name: stream } });
  await waitUntil(
    `${stream} is copied`,
    async () => (await jsm.streams.info(name)).state.messages >= messages,
    COPIED_MS_MAX,
  );
  return name;
}

/** Deletes all messages of a subject; how many there were. */
async function remove(jsm: JetStreamManager, stream: string, filter: string): Promise<number> {
  return (await jsm.streams.purge(stream, { filter })).purged;
}
