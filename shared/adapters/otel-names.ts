/**
 * What OpenTelemetry's conventions call what this project does. The conventions for generative AI and for messaging are in development: a name that
 * changes there changes here, and nowhere else.
 *
 * Followed: GenAI semantic conventions 0.1.0 (github.com/open-telemetry/semantic-conventions-genai), and of the semantic conventions 1.45 those for
 * messaging, `error.type`, `server.*` and `service.*`. A message's creation context is the parent of the span that processes it, which the messaging
 * conventions allow where a message is processed by itself. What they have no name for is called `conclave.*`.
 */
import { type Attributes, SpanKind } from '@opentelemetry/api';
import type { Operation } from '../ports.ts';

export interface Named {
  readonly name: string;
  readonly kind: SpanKind;
  readonly attributes: Attributes;
  readonly events?: readonly { readonly name: string; readonly atMs: number; readonly attributes: Attributes }[];
}

/** What is the same for every span of a process. */
export interface Speaker {
  readonly agentId: string;
  readonly role: string;
  readonly version: string;
  /** URL at which the model answers, if this process asks one. */
  readonly model?: string;
}

export const ERROR_TYPE = 'error.type';
/** Tasks of large joins depend on thousands. */
const DEPENDENCIES_MAX = 32;
/** Of the offline endpoint of this repository, which is no model. */
const OFFLINE_PROVIDER = 'conclave.offline';
/** Any endpoint that speaks the OpenAI API: the format of the telemetry, not necessarily who made the model. */
const PROVIDER = 'openai';
const OFFLINE_MODEL = /^conclave-offline\b/;
const HTTP_PORT = 80;
const HTTPS_PORT = 443;
/** The task that plans is its agent's planning phase. */
const PLAN_CAPABILITY = 'plan';

export function resourceOf(speaker: Speaker, mesh: string): Attributes {
  return {
    'service.name': `conclave-${speaker.role}`,
    'service.namespace': 'conclave',
    'service.version': speaker.version,
    'service.instance.id': speaker.agentId,
    'conclave.mesh': mesh,
  };
}

export function nameOf(operation: Operation, speaker: Speaker): Named {
  switch (operation.kind) {
    case 'submit':
      return {
        name: `send ${operation.subject}`,
        kind: SpanKind.PRODUCER,
        attributes: {
          ...messaging('send', operation.subject, operation.goalId),
          'conclave.goal.id': operation.goalId,
        },
      };
    case 'accept':
      return {
        name: `process ${operation.subject}`,
        kind: SpanKind.CONSUMER,
        attributes: {
          ...messaging('process', operation.subject, operation.goalId),
          'conclave.goal.id': operation.goalId,
        },
      };
    case 'goal':
      return goal(operation);
    case 'attempt':
      return attempt(operation, speaker);
    case 'model':
      return model(operation, speaker);
    case 'round':
      return round(operation);
    case 'vote':
      return {
        name: `process ${operation.subject}`,
        kind: SpanKind.CONSUMER,
        attributes: {
          ...messaging('process', operation.subject, operation.goalId),
          ...optional('conclave.goal.id', operation.goalId),
          'conclave.round.id': operation.roundId,
          ...optional('conclave.vote.position', operation.position),
          ...optional('conclave.vote.unsaid', operation.unsaid),
        },
      };
    case 'send':
    case 'receive':
      return message(operation);
  }
}

function goal(operation: Extract<Operation, { kind: 'goal' }>): Named {
  const { goalId, pattern, status, tasks, tokens, usd, predictedUsd } = operation;
  return {
    name: `invoke_workflow ${pattern}`,
    kind: SpanKind.INTERNAL,
    attributes: {
      'gen_ai.operation.name': 'invoke_workflow',
      'gen_ai.agent.name': pattern,
      'gen_ai.conversation.id': goalId,
      'conclave.goal.id': goalId,
      'conclave.goal.status': status,
      'conclave.goal.tasks.total': tasks.total,
      'conclave.goal.tasks.completed': tasks.completed,
      'conclave.goal.tasks.failed': tasks.failed,
      'conclave.goal.tasks.cancelled': tasks.cancelled,
      'conclave.goal.tokens': tokens,
      'conclave.cost.usd': usd,
      'conclave.cost.predicted_usd': predictedUsd,
    },
  };
}

function attempt(operation: Extract<Operation, { kind: 'attempt' }>, speaker: Speaker): Named {
  const { goalId, taskId, capability, agentId, dependencies, ending, taskUsd } = operation;
  const plans = capability === PLAN_CAPABILITY;
  const name = plans ? 'plan' : 'invoke_agent';
  return {
    // Named by what the agent can do: of one that died nothing else is known.
    name: plans ? name : `${name} ${capability}`,
    kind: SpanKind.INTERNAL,
    attributes: {
      'gen_ai.operation.name': name,
      'gen_ai.agent.name': capability,
      'gen_ai.conversation.id': goalId,
      // Of another agent, which died, the version is not known.
      ...(agentId === speaker.agentId ? { 'gen_ai.agent.version': speaker.version } : {}),
      'conclave.agent.id': agentId,
      'conclave.goal.id': goalId,
      'conclave.task.id': taskId,
      'conclave.task.capability': capability,
      'conclave.task.attempt': operation.attempt,
      'conclave.task.dependencies': dependencies.slice(0, DEPENDENCIES_MAX),
      'conclave.task.transition': ending,
      'conclave.task.cost_usd': taskUsd,
    },
  };
}

function model(operation: Extract<Operation, { kind: 'model' }>, speaker: Speaker): Named {
  const { model: asked, answeredBy, goalId, inputTokens, outputTokens, usd } = operation;
  return {
    name: `chat ${asked}`,
    kind: SpanKind.CLIENT,
    attributes: {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': OFFLINE_MODEL.test(asked) ? OFFLINE_PROVIDER : PROVIDER,
      'gen_ai.request.model': asked,
      'gen_ai.request.max_tokens': operation.maxOutputTokens,
      'gen_ai.output.type': 'json',
      'gen_ai.usage.input_tokens': inputTokens,
      'gen_ai.usage.output_tokens': outputTokens,
      ...optional('gen_ai.response.model', answeredBy),
      ...optional('gen_ai.conversation.id', goalId),
      ...serverOf(speaker.model),
      'conclave.agent.id': speaker.agentId,
      'conclave.model.question': operation.name,
      'conclave.model.calls': operation.calls,
      'conclave.model.repaired': operation.repaired,
      'conclave.model.offline': operation.offline,
      'conclave.cost.usd': usd,
    },
  };
}

function serverOf(url: string | undefined): Attributes {
  if (url === undefined) return {};
  const { hostname, port, protocol } = new URL(url);
  const known = protocol === 'https:' ? HTTPS_PORT : HTTP_PORT;
  return { 'server.address': hostname, 'server.port': port === '' ? known : Number(port) };
}

function round(operation: Extract<Operation, { kind: 'round' }>): Named {
  const { roundId, capability, goalId, taskId, method, voters, outcome, ballots } = operation;
  return {
    name: `vote ${capability}`,
    kind: SpanKind.INTERNAL,
    attributes: {
      'conclave.round.id': roundId,
      'conclave.round.capability': capability,
      'conclave.round.method': method,
      'conclave.round.voters': voters,
      'conclave.round.ballots': ballots.length,
      'conclave.round.outcome': outcome,
      ...optional('conclave.goal.id', goalId),
      ...optional('conclave.task.id', taskId),
    },
    events: ballots.map(({ agent, position, atMs }) => ({
      name: 'ballot counted',
      atMs,
      attributes: { 'conclave.agent.id': agent, 'conclave.vote.position': position },
    })),
  };
}

function message(operation: Extract<Operation, { kind: 'send' | 'receive' }>): Named {
  const { kind, subject, messageType, messageId, sender, receiver, correlationId, bytes } = operation;
  const name = kind === 'send' ? 'send' : 'process';
  // Who talks to whom are too many for the name of a span.
  const template = subject.replace(`.${sender}.${receiver}.`, '.{sender}.{receiver}.');
  return {
    name: `${name} ${template}`,
    kind: kind === 'send' ? SpanKind.PRODUCER : SpanKind.CONSUMER,
    attributes: {
      ...messaging(name, subject, correlationId),
      'messaging.destination.template': template,
      'messaging.message.id': messageId,
      'messaging.message.body.size': bytes,
      'conclave.message.type': messageType,
      'conclave.message.sender': sender,
      'conclave.message.receiver': receiver,
    },
  };
}

function messaging(operation: 'send' | 'process', destination: string, conversation: string | undefined): Attributes {
  return {
    'messaging.system': 'nats',
    'messaging.operation.name': operation,
    'messaging.operation.type': operation,
    'messaging.destination.name': destination,
    ...optional('messaging.message.conversation_id', conversation),
  };
}

function optional(name: string, value: string | undefined): Attributes {
  return value === undefined ? {} : { [name]: value };
}
