/**
 * A worker of the floor, as a process: pulls each stage, stores the next stage's message, acknowledges. No state, no retries, no result anybody
 * could read later. Environment: `NATS_URL`, and `RAW_STAGES`, the stages that this process does.
 */
import { jetstream, type JsMsg } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { storing } from './raw-publish.ts';
import { goalOf, PAYLOAD, RAW_STREAM, rawSubject } from './raw-stages.ts';

/** Items that the broker may send ahead, per stage. */
const AHEAD = 256;

const nc = await connect({
  servers: process.env['NATS_URL'] ?? '127.0.0.1:4222',
  noAsyncTraces: true,
  // The broker goes with the measurement, and this process with the broker.
  maxReconnectAttempts: 1,
});
const js = jetstream(nc);
const store = storing(nc);
const joined = new Map<string, number>();

const after: Readonly<Record<string, (goal: string, parts: string) => Promise<unknown>>> = {
  one: (goal, parts) => store(rawSubject('two', goal, parts), PAYLOAD),
  two: (goal, parts) => store(rawSubject('three', goal, parts), PAYLOAD),
  three: (goal, parts) => store(rawSubject('done', goal, parts), PAYLOAD),
  root: (goal, parts) =>
    Promise.all(Array.from({ length: Number(parts) }, () => store(rawSubject('part', goal, parts), PAYLOAD))),
  part: (goal, parts) => store(rawSubject('join', goal, parts), PAYLOAD),
  join: async (goal, parts) => {
    const count = (joined.get(goal) ?? 0) + 1;
    joined.set(goal, count);
    if (count < Number(parts)) return;
    joined.delete(goal);
    await store(rawSubject('done', goal, parts), PAYLOAD);
  },
};

async function work(message: JsMsg, next: (goal: string, parts: string) => Promise<unknown>): Promise<void> {
  const { goal, parts } = goalOf(message.subject);
  await next(goal, parts);
  message.ack();
}

for (const stage of (process.env['RAW_STAGES'] ?? '').split(',')) {
  const next = after[stage];
  if (next === undefined) throw new Error(`RAW_STAGES: expected some of ${Object.keys(after).join()}, got ${stage}`);
  const consumer = await js.consumers.get(RAW_STREAM, stage);
  await consumer.consume({ max_messages: AHEAD, callback: (message) => void work(message, next) });
}
await nc.flush();
process.stdout.write('raw.ready\n');
process.once('SIGTERM', () => void nc.close());
await nc.closed();
