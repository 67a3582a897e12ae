/** The offline model as an HTTP application: an OpenAI-compatible endpoint that always says of itself that it is offline. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type CountTokens, tokenCounter } from '../../shared/adapters/openai-tokens.ts';
import { dripped, oversized } from './bodies.ts';
import { BadInput } from './carried.ts';
import { type Chat, completionBody, cutTo, errorBody, MODEL_NAME, promptTokens, readChat } from './chat.ts';
import { type Config, LATENCY_MS_MAX } from './config.ts';
import { createFaultPlan, FAULT_SYNTAX, FAULTS, parseRates, type QueuedFault } from './faults.ts';
import { answerText } from './handler.ts';
import { createMetrics } from './metrics.ts';
import { spoiled } from './spoil.ts';

/** A text of 512 KiB as JSON within JSON, with room to spare. */
const BODY_BYTES_MAX = 8 * 1024 * 1024;

const DRAIN_MS_MAX = 5000;

const Latency = z.coerce.number().int().min(0).max(LATENCY_MS_MAX).optional();

const FaultName = z.enum(FAULTS);
const FaultControl = z.object({
  next: z
    .array(
      z.union([
        FaultName.transform((fault): QueuedFault => ({ fault })),
        z.object({ fault: FaultName, schema: z.string().optional(), retryAfter: z.string().optional() }),
      ]),
    )
    .max(10_000)
    .optional(),
  rates: z.string().optional(),
});

/** Ready to listen. Closing it ends every pending fault; answers on their way are completed. */
export function createApp(config: Config): FastifyInstance {
  const app = fastify({ bodyLimit: BODY_BYTES_MAX, forceCloseConnections: 'idle' });
  const metrics = createMetrics();
  const faults = createFaultPlan(config.rates, config.seed);
  const closing = new AbortController();
  const cutByUs = new WeakSet<object>();
  let answers = 0;

  const answering = new Set<ServerResponse>();
  app.addHook('onRequest', async (_, reply) => {
    answering.add(reply.raw);
    reply.raw.once('close', () => answering.delete(reply.raw));
    reply.header('x-conclave-offline', 'true');
  });
  // Not at the first question: its client would wait, and may time out.
  app.addHook('onListen', async () => {
    await tokenCounter();
  });
  app.addHook('preClose', async () => {
    closing.abort();
    const answered = Promise.allSettled(Array.from(answering, (response) => once(response, 'close')));
    // At the latest after a while: a client that reads slowly must not keep the process.
    await Promise.race([answered, delay(DRAIN_MS_MAX, undefined, { ref: false })]);
    // Node takes a connection that never carried a request for a busy one, and would wait a minute for it.
    app.server.closeAllConnections();
  });
  app.addHook('onSend', async (_, reply) => {
    // A kept-alive connection would hold up the end of the process until the client drops it.
    if (closing.signal.aborted) reply.header('connection', 'close');
  });
  app.setErrorHandler((error, _, reply) => {
    const known = error instanceof BadInput ? 400 : statusOf(error);
    return reply.code(known).send(errorBody(messageOf(error), known < 500 ? 'invalid_request_error' : 'server_error'));
  });
  app.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send(
        errorBody(`${request.method} ${request.url} is not served here; see GET /v1/models`, 'invalid_request_error'),
      ),
  );

  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/readyz', async (_, reply) => {
    if (closing.signal.aborted) return reply.code(503).send({ status: 'closing' });
    await tokenCounter();
    return { status: 'ok' };
  });
  app.get('/metrics', async (_, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );
  app.get('/v1/models', () => ({
    object: 'list',
    data: [{ id: MODEL_NAME, object: 'model', created: 0, owned_by: 'conclave' }],
  }));

  app.get('/faults', () => ({ pending: faults.pending(), ...metrics.stats() }));
  app.put('/faults', (request) => {
    const control = FaultControl.safeParse(request.body);
    if (!control.success)
      throw new BadInput(
        `expected {"next": [fault or {"fault", "schema"?, "retryAfter"?}], "rates"?: "..."}; faults: ${FAULTS.join(', ')}`,
      );
    const rates = control.data.rates === undefined ? undefined : parseRates(control.data.rates);
    if (control.data.rates !== undefined && rates === undefined)
      throw new BadInput(`"rates": expected ${FAULT_SYNTAX}`);
    if (rates !== undefined) faults.setRates(rates);
    if (control.data.next !== undefined) faults.queue(control.data.next);
    return { pending: faults.pending(), ...metrics.stats() };
  });

  app.post('/v1/chat/completions', async (request, reply) => {
    const latencyMs = latencyOf(request);
    const chat = readChat(request.body);
    const schema = chat.format.kind === 'schema' ? chat.format.name : chat.format.kind;
    metrics.request(schema);
    const gone = watchClient(reply);
    const item = faults.take(schema, JSON.stringify(request.body));
    if (item !== undefined) metrics.fault(item.fault);
    try {
      await delay(latencyMs, undefined, { signal: AbortSignal.any([gone, closing.signal]) });
    } catch {
      // The process is closing: answer at once. A client that is gone gets nothing.
      if (gone.aborted) return reply.hijack();
    }
    return respond(chat, item, reply, gone);
  });

  async function respond(
    chat: Chat,
    item: QueuedFault | undefined,
    reply: FastifyReply,
    gone: AbortSignal,
  ): Promise<unknown> {
    switch (item?.fault) {
      case '429':
        reply.code(429).header('retry-after', item.retryAfter ?? '1');
        return errorBody('Rate limit reached (injected)', 'requests', 'rate_limit_exceeded');
      case '500':
        reply.code(500);
        return errorBody('The server had an error (injected)', 'server_error');
      case 'reset':
        return cut(reply);
      case 'hang':
        await aborted(AbortSignal.any([gone, closing.signal]));
        return cut(reply);
      case 'broken-body':
        return reply.type('application/json').send('<html>Bad gateway</html>');
      case 'oversize':
        return reply.type('application/json').send(Readable.from(oversized()));
      case 'drip': {
        const body = JSON.stringify(complete(chat, item, await tokenCounter()));
        return reply
          .type('application/json')
          .send(Readable.from(dripped(body, AbortSignal.any([gone, closing.signal]))));
      }
      case 'garbage':
      case 'wrong-shape':
      case 'hostile':
      case 'cyclic':
      case 'unsupported':
      case undefined:
        return complete(chat, item, await tokenCounter());
    }
  }

  function complete(chat: Chat, item: QueuedFault | undefined, count: CountTokens): object {
    const whole = spoiled(item?.fault, answerText(chat));
    const content = cutTo(whole, chat.outputMax, count);
    const inputTokens = promptTokens(chat, count);
    const outputTokens = count(content);
    metrics.tokens(inputTokens, outputTokens);
    answers += 1;
    const id = `chatcmpl-offline-${answers}`;
    return completionBody({ id, createdAtMs: Date.now(), content, cut: content !== whole, inputTokens, outputTokens });
  }

  function cut(reply: FastifyReply): FastifyReply {
    reply.hijack();
    cutByUs.add(reply.raw);
    reply.raw.destroy();
    return reply;
  }

  /** A signal that aborts when the client closes before its answer is complete. */
  function watchClient(reply: FastifyReply): AbortSignal {
    const gone = new AbortController();
    const startedAt = performance.now();
    const ended = (): void => {
      const closedByClient = !reply.raw.writableFinished && !cutByUs.has(reply.raw) && !closing.signal.aborted;
      metrics.ended((performance.now() - startedAt) / 1000, closedByClient);
      if (closedByClient) gone.abort();
    };
    // A client may be gone before its request has been read.
    if (reply.raw.closed) ended();
    else reply.raw.once('close', ended);
    return gone.signal;
  }

  function latencyOf(request: FastifyRequest): number {
    const header = Latency.safeParse(request.headers['x-conclave-latency-ms']);
    if (!header.success)
      throw new BadInput(`x-conclave-latency-ms: expected whole milliseconds, 0 to ${LATENCY_MS_MAX}`);
    return header.data ?? config.latencyMs;
  }

  return app;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function statusOf(error: unknown): number {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  return typeof status === 'number' && status >= 400 && status < 600 ? status : 500;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
