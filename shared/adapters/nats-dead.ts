/** Dead letters, kept in their own stream. */
import type { NatsConnection } from '@nats-io/transport-node';
import type { DeadLetters } from '../ports.ts';
import { encode } from '../protocol/codec.ts';
import { LETTER_PAYLOAD_MAX } from '../protocol/dead.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { publishOne } from './publish.ts';

const RETRY_MS = 250;
const TRIES_MAX = 40;

export function natsDeadLetters(nc: NatsConnection, subjects: Subjects): DeadLetters {
  return {
    async put(letter, dedupe) {
      const kept =
        letter.payload.length > LETTER_PAYLOAD_MAX
          ? { ...letter, payload: letter.payload.slice(0, LETTER_PAYLOAD_MAX) }
          : letter;
      const write = { subject: subjects.dead(letter.origin), data: encode(kept), dedupe };
      for (let tries = 1; ; tries += 1) {
        const answer = await publishOne(nc, write);
        if (answer.kind === 'stored') return;
        if (tries === TRIES_MAX || answer.kind === 'refused')
          throw new Error(`dead letter not stored: ${answer.kind === 'conflict' ? 'conflict' : answer.detail}`);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    },
  };
}
