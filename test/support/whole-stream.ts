/** Reading a stream from its first message to its last, however many there are. */
import { DeliverPolicy, type JsMsg, jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { waitUntil } from './wait.ts';

/** The broker copies records into the log on its own time; after so long without a word nothing more will come, ms. */
const SILENCE_MS_MAX = 60_000;
const READ_MS_MAX = 3_600_000;

/**
 * Everything of a stream in the order in which it was stored, until `isDone` says so, or nothing more comes. Without a filter, which costs the server
 * more than it saves.
 *
 * @param isDone asked with how many messages are still to be read.
 */
export async function readWhole(
  nc: NatsConnection,
  stream: string,
  take: (message: Pick<JsMsg, 'subject' | 'data' | 'timestamp'>) => void,
  isDone: (pending: number) => boolean,
  silenceMsMax = SILENCE_MS_MAX,
): Promise<void> {
  const consumer = await jetstream(nc).consumers.get(stream, { deliver_policy: DeliverPolicy.All });
  if (isDone((await consumer.info()).num_pending)) return;
  const messages = await consumer.consume({ max_messages: 2_000 });
  let done = false;
  let heardAt = performance.now();
  const reading = (async () => {
    for await (const message of messages) {
      heardAt = performance.now();
      take(message);
      done = isDone(message.info.pending);
      if (done) break;
    }
  })();
  const over = () => done || performance.now() - heardAt > silenceMsMax;
  await waitUntil(`${stream} is read`, over, READ_MS_MAX).finally(() => messages.stop());
  await reading;
}
