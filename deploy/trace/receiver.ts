/** An OTLP/HTTP endpoint for traces in JSON, as a collector has it, that keeps what it is sent. For looking and testing, not for keeping. */
import fastify from 'fastify';
import { z } from 'zod';

export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  readonly name: string;
  /** As OTLP numbers them: 1 internal, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  /** Milliseconds since the epoch, with fractions. */
  readonly startMs: number;
  readonly endMs: number;
  /** What went wrong, if the span says that something did. */
  readonly error: string | undefined;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly { readonly name: string; readonly attributes: Readonly<Record<string, unknown>> }[];
  /** Attributes of the process that sent it. */
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface Receiver {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly url: string;
  spans(): readonly Span[];
  /** What was posted that is not OTLP/JSON: its content type and bytes. */
  others(): readonly { readonly type: string; readonly body: Uint8Array }[];
  close(): Promise<void>;
}

const Value: z.ZodType<{ [kind: string]: unknown }> = z.record(z.string(), z.unknown());
const Attributes = z.array(z.object({ key: z.string(), value: Value })).default([]);
const Nanos = z.union([z.string(), z.number()]).transform((nanos) => Number(BigInt(nanos) / 1_000n) / 1_000);
const Hex = z.string().regex(/^[0-9a-f]*$/);
const Request = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: Attributes }),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              traceId: Hex.length(32),
              spanId: Hex.length(16),
              parentSpanId: Hex.optional(),
              name: z.string(),
              kind: z.number(),
              startTimeUnixNano: Nanos,
              endTimeUnixNano: Nanos,
              attributes: Attributes,
              events: z.array(z.object({ name: z.string(), attributes: Attributes })).default([]),
              status: z.object({ code: z.number().default(0), message: z.string().default('') }).optional(),
            }),
          ),
        }),
      ),
    }),
  ),
});

const ERROR = 2;
const BYTES_MAX = 16 * 1024 * 1024;

/** `port` 0: any that is free. */
export async function receiveTraces(port = 0): Promise<Receiver> {
  const spans: Span[] = [];
  const others: { type: string; body: Uint8Array }[] = [];
  const app = fastify({ bodyLimit: BYTES_MAX });
  app.addContentTypeParser('application/x-protobuf', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
  app.post('/v1/traces', (request, reply) => {
    const type = request.headers['content-type'] ?? '';
    if (Buffer.isBuffer(request.body)) others.push({ type, body: request.body });
    else spans.push(...spansOf(Request.parse(request.body)));
    return reply.send({});
  });
  const url = await app.listen({ host: '127.0.0.1', port });
  return { url, spans: () => spans, others: () => others, close: () => app.close() };
}

function spansOf({ resourceSpans }: z.infer<typeof Request>): readonly Span[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans
      .flatMap(({ spans }) => spans)
      .map(
        (span): Span => ({
          traceId: span.traceId,
          spanId: span.spanId,
          parentId: span.parentSpanId === undefined || span.parentSpanId === '' ? undefined : span.parentSpanId,
          name: span.name,
          kind: span.kind,
          startMs: span.startTimeUnixNano,
          endMs: span.endTimeUnixNano,
          error: span.status?.code === ERROR ? span.status.message : undefined,
          attributes: plain(span.attributes),
          events: span.events.map(({ name, attributes }) => ({ name, attributes: plain(attributes) })),
          resource: plain(resource.attributes),
        }),
      ),
  );
}

function plain(attributes: z.infer<typeof Attributes>): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, plainValue(value)]));
}

/** `{stringValue: 'x'}` -> `x`; 64-bit integers are text. */
function plainValue(value: { readonly [kind: string]: unknown }): unknown {
  const [[kind, held] = []] = Object.entries(value);
  if (kind === 'intValue') return Number(held);
  if (kind !== 'arrayValue') return held;
  return z
    .object({ values: z.array(Value).default([]) })
    .parse(held)
    .values.map(plainValue);
}
