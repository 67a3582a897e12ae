import type { JetStreamPublishOptions, PubAck } from '@nats-io/jetstream';
import { TimeoutError } from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';
import { publishOnce } from '../../../shared/adapters/mesh-client-submit.ts';

const ack: PubAck = { stream: 'mesh_goals', seq: 7, duplicate: true, domain: '' };

/** A broker that takes every message and loses its first answers. */
function losing(answers: number, error: () => Error) {
  const sent: (string | undefined)[] = [];
  return {
    sent,
    publish: async (_subject: string, _body: unknown, options?: Partial<JetStreamPublishOptions>) => {
      sent.push(options?.msgID);
      if (sent.length <= answers) throw error();
      return ack;
    },
  };
}

const publish = (broker: ReturnType<typeof losing>) =>
  publishOnce(broker, 'mesh.goals.submit', new Uint8Array(), 'id-1');

describe('a publish whose answer was lost', () => {
  it('is repeated under the same message id, so that the broker keeps one message', async () => {
    const broker = losing(2, () => new TimeoutError());
    expect(await publish(broker)).toBe(ack);
    expect(broker.sent).toEqual(['id-1', 'id-1', 'id-1']);
  });

  it('is given up at some point', async () => {
    const broker = losing(99, () => new TimeoutError());
    await expect(publish(broker)).rejects.toThrow(TimeoutError);
    expect(broker.sent).toHaveLength(3);
  });

  it('is not repeated when the broker refuses it', async () => {
    const broker = losing(1, () => new Error('maximum messages exceeded'));
    await expect(publish(broker)).rejects.toThrow('maximum messages exceeded');
    expect(broker.sent).toHaveLength(1);
  });
});
