/** What agents say to each other -> log lines and metrics. */
import type { Logger } from 'pino';
import type { PolicyObserver } from '../adapters/resilience.ts';
import type { CountMessage } from './counted-bus.ts';
import { bounded, type Metrics } from './metrics.ts';
import { modelObserver } from './telemetry.ts';

const PEERS_MAX = 50;

/** Of the policies for single peers, whose names hold their ids, only so many get series of their own. */
export function peerObserver(log: Logger, metrics: Metrics): PolicyObserver {
  const label = bounded(PEERS_MAX);
  const observer = modelObserver(log, metrics);
  return {
    breakerState: (name, state) => observer.breakerState(label(name), state),
    retry: (name, attempt, delayMs) => observer.retry(label(name), attempt, delayMs),
    timeout: (name) => observer.timeout(label(name)),
    overloaded: (name) => observer.overloaded(label(name)),
  };
}

const MESSAGE_TYPES_MAX = 50;

/** Messages between agents, by their type: sent, and received. */
export function speechEvents(metrics: Metrics) {
  const typeLabel = bounded(MESSAGE_TYPES_MAX);
  const count =
    (direction: 'in' | 'out') =>
    ({ messageType }: { readonly messageType: string }, bytes: number) => {
      metrics.messages.inc({ direction, message_type: typeLabel(messageType) });
      metrics.messageBytes.inc({ direction }, bytes);
    };
  return { sent: count('out'), received: count('in') };
}

/** What becomes of messages that cannot be taken. */
export function mailEvents(log: Logger, metrics: Metrics) {
  return {
    refused(code: string, detail: string, subject: string) {
      metrics.deadLetters.inc({ code });
      log.warn({ event: 'message.refused', code, detail, subject }, 'message refused');
    },
    failed: (error: unknown) => log.error({ event: 'message.failed', err: error }, 'message could not be handled'),
  };
}

export function messageCount(metrics: Metrics): CountMessage {
  return (direction, type, bytes) => {
    metrics.messages.inc({ direction, message_type: type });
    metrics.messageBytes.inc({ direction }, bytes);
  };
}
