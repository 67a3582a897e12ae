/** What agents say they are working on, asked by the NATS micro-service protocol (ADR-32). */
import { createInbox, type NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { decode } from '../protocol/codec.ts';
import { Id } from '../protocol/ids.ts';
import type { Subjects } from '../protocol/subjects.ts';

const Stats = z.object({ metadata: z.object({ mesh: z.string(), agentId: Id }), running: z.array(z.string()) });

/**
 * Asks every agent of the mesh; ends when `agents` have answered, or `withinMs` are over. By agentId, each task as `<goalId>.<taskId>`; an agent that is
 * missing did not answer.
 */
export type RunningTasks = (
  agents: ReadonlySet<string>,
  withinMs: number,
) => Promise<ReadonlyMap<string, ReadonlySet<string>>>;

export function runningTasks(nc: NatsConnection, subjects: Subjects, inboxPrefix: string): RunningTasks {
  return (agents, withinMs) =>
    new Promise((resolve) => {
      const answers = new Map<string, ReadonlySet<string>>();
      const end = (): void => {
        clearTimeout(timer);
        subscription.unsubscribe();
        resolve(answers);
      };
      const timer = setTimeout(end, withinMs);
      const reply = createInbox(inboxPrefix);
      const subscription = nc.subscribe(reply, {
        callback: (error, message) => {
          const stats = error === null ? decode(Stats, message.data) : undefined;
          if (stats?.ok !== true || stats.value.metadata.mesh !== subjects.mesh) return;
          answers.set(stats.value.metadata.agentId, new Set(stats.value.running));
          if ([...agents].every((agentId) => answers.has(agentId))) end();
        },
      });
      nc.publish('$SRV.STATS', '', { reply });
    });
}
