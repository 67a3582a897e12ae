/** Joins the voters of this process to the broker. */
import { natsBus } from '../../../../shared/adapters/nats-bus.ts';
import { connectBroker } from '../../../../shared/adapters/nats-connect.ts';
import { subjectsOf } from '../../../../shared/protocol/subjects.ts';
import { systemClock } from '../../../../shared/runtime/broker.ts';
import type { VoterObserver } from '../../../../shared/runtime/vote/observer.ts';
import { serveVotes } from '../../../../shared/runtime/vote/voter.ts';
import { answer, type Panel } from '../panel.ts';

/** Rounds that one voter answers at once, and that wait for it. */
const CONCURRENCY = 256;
const QUEUE_MAX = 1_024;

const observer: VoterObserver = {
  ignored: ({ reason, detail }) => {
    // A wave addresses some of the roster, and all of it hear the request.
    if (reason !== 'not_in_roster') process.stderr.write(`a vote request was not answered: ${reason}, ${detail}\n`);
  },
  answered: () => undefined,
  failed: ({ step, error }) => void process.stderr.write(`a vote failed at ${step}: ${String(error)}\n`),
};

export async function serveVoters(env: NodeJS.ProcessEnv): Promise<void> {
  const { NATS_URL = '', MESH = '', SEED = '', VOTERS = '', PANELS = '[]' } = env;
  const panels = JSON.parse(PANELS) as readonly Panel[];
  const subjects = subjectsOf(MESH);
  await Promise.all(
    VOTERS.split(',').map(async (agentId) => {
      const nc = await connectBroker({ url: NATS_URL, name: agentId });
      const bus = natsBus(nc);
      for (const panel of panels) {
        const member = panel.voters.find((voter) => voter.agentId === agentId);
        if (member === undefined) continue;
        serveVotes(
          { bus, clock: systemClock, subjects, observer },
          {
            agentId,
            capabilities: [panel.capability],
            decide: (request) => Promise.resolve({ position: answer(panel, member, request, SEED) }),
            concurrency: CONCURRENCY,
            queueMax: QUEUE_MAX,
          },
        );
      }
      await nc.flush();
    }),
  );
}
