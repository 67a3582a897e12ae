/** The NATS micro-service protocol (ADR-32), answered by hand: `@nats-io/services` on the registry carries an old nested core. */
import { z } from 'zod';
import type { Bus, Incoming } from '../ports.ts';
import { encode } from '../protocol/codec.ts';
import { CLIENT_INBOX } from '../protocol/permissions.ts';
import type { Subjects } from '../protocol/subjects.ts';
import type { Manifest } from './manifest.ts';

interface Identity {
  readonly subjects: Subjects;
  readonly agentId: string;
  readonly startedAt: string;
  readonly manifest: Manifest;
  /** Tasks that are worked on, as `<goalId>.<taskId>`: whoever cancels a goal asks for them. */
  readonly running: () => readonly string[];
}

/** Requests, errors and processing time per capability, for STATS. */
interface EndpointStats {
  requests: number;
  /** Failed attempts. */
  errors: number;
  /** Code of the last one; never its message, which may quote a task: anybody on the broker may ask. */
  lastError?: string;
  processingMs: number;
}

export interface EndpointCounts {
  handled(capability: string, processingMs: number): void;
  failed(capability: string, code: string): void;
  of(capability: string): Readonly<EndpointStats>;
}

export function endpointCounts(): EndpointCounts {
  const counts = new Map<string, EndpointStats>();
  function of(capability: string): EndpointStats {
    const known = counts.get(capability);
    if (known !== undefined) return known;
    const fresh = { requests: 0, errors: 0, processingMs: 0 };
    counts.set(capability, fresh);
    return fresh;
  }
  return {
    of,
    handled(capability, processingMs) {
      const count = of(capability);
      count.requests += 1;
      count.processingMs += processingMs;
    },
    failed(capability, code) {
      const count = of(capability);
      count.errors += 1;
      count.lastError = code;
    },
  };
}

const NS_PER_MS = 1_000_000;

/** Answers `$SRV.PING|INFO|STATS`, also with the service's name, and with name and id. */
export function serveInfo(bus: Bus, identity: Identity, counts: EndpointCounts): () => void {
  const { subjects, agentId, manifest, startedAt, running } = identity;
  const name = `conclave-${manifest.role}`;
  const capabilities = Object.entries(manifest.capabilities);
  const metadata = {
    mesh: subjects.mesh,
    agentId,
    role: manifest.role,
    capabilities: capabilities.map(([capability]) => capability).join(','),
    version: manifest.version,
  };
  const inboxes = `${subjects.mesh}.inbox.`;
  const service = { name, id: agentId, version: manifest.version, metadata };
  const endpoints = capabilities.map(([capability, { description, input, output }]) => ({
    name: capability,
    subject: subjects.readyOfCapability(capability),
    queue_group: subjects.capabilityConsumer(capability),
    metadata: { description, input: schemaText(input), output: schemaText(output) },
  }));
  const answers: Readonly<Record<string, () => unknown>> = {
    PING: () => ({ type: 'io.nats.micro.v1.ping_response', ...service }),
    INFO: () => ({
      type: 'io.nats.micro.v1.info_response',
      ...service,
      description: manifest.responsibility,
      endpoints,
    }),
    STATS: () => ({
      type: 'io.nats.micro.v1.stats_response',
      ...service,
      started: startedAt,
      running: running(),
      endpoints: endpoints.map((endpoint) => {
        const { requests, errors, processingMs, lastError } = counts.of(endpoint.name);
        const total = Math.round(processingMs * NS_PER_MS);
        return {
          ...endpoint,
          num_requests: requests,
          num_errors: errors,
          ...(lastError === undefined ? {} : { last_error: lastError }),
          processing_time: total,
          average_processing_time: requests === 0 ? 0 : Math.round(total / requests),
        };
      }),
    }),
  };
  const unsubscribe = Object.entries(answers).flatMap(([verb, answer]) => {
    const reply = (message: Incoming): void => {
      // Only to where clients wait: any other reply subject would let the asker choose what this agent writes to.
      if (message.reply?.startsWith(`${CLIENT_INBOX}.`) === true || message.reply?.startsWith(inboxes) === true)
        bus.publish(message.reply, encode(answer()));
    };
    return [`$SRV.${verb}`, `$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${agentId}`].map((subject) =>
      bus.subscribe(subject, reply),
    );
  });
  return () => {
    for (const stop of unsubscribe) stop();
  };
}

function schemaText(schema: z.ZodType): string {
  return JSON.stringify(z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' }));
}
