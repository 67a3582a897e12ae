/** Trace contexts: what of a header is believed, and ids that every process finds by itself. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { processesOf, traceOf, traceText } from '../../deploy/trace/tree.ts';
import type { Span } from '../../deploy/trace/receiver.ts';
import { screenOf } from '../../services/cli/render/screen.ts';
import type { FinishedSpan, Tracer } from '../../shared/ports.ts';
import { cleanTraceparent, readTraceparent, Traceparent, traceparentOf } from '../../shared/protocol/trace.ts';
import { tracesWanted } from '../../shared/runtime/open-tracing.ts';
import { traceSettings } from '../../shared/runtime/otel-config.ts';
import { attemptSpanId, currentTrace, goalTrace, tracingOf, UNTRACED } from '../../shared/runtime/tracing.ts';

const HEX = '0123456789abcdef'.split('');
const hex = (length: number) =>
  fc
    .string({ unit: fc.constantFrom(...HEX), minLength: length, maxLength: length })
    .filter((text) => !/^0+$/.test(text));
const context = fc.record({ traceId: hex(32), spanId: hex(16), sampled: fc.boolean() });

describe('a traceparent', () => {
  test('is read as it was written, whatever its version and further flags', () => {
    fc.assert(
      fc.property(context, fc.integer({ min: 0, max: 254 }), fc.integer({ min: 0, max: 127 }), (one, version, more) => {
        expect(readTraceparent(traceparentOf(one))).toEqual(one);
        expect(Traceparent.safeParse(traceparentOf(one)).success).toBe(true);
        const flags = (more * 2 + (one.sampled ? 1 : 0)).toString(16).padStart(2, '0');
        const text = `${version.toString(16).padStart(2, '0')}-${one.traceId}-${one.spanId}-${flags}`;
        expect(readTraceparent(text)).toEqual(one);
        expect(readTraceparent(`${text}-what-a-later-version-adds`)).toEqual(one);
        expect(cleanTraceparent(text)).toBe(traceparentOf(one));
      }),
    );
  });

  test.each([
    ['nothing', undefined],
    ['an empty header', ''],
    ['the forbidden version', `ff-${'a'.repeat(32)}-${'b'.repeat(16)}-01`],
    ['no trace', `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`],
    ['no span', `00-${'a'.repeat(32)}-${'0'.repeat(16)}-01`],
    ['capitals', `00-${'A'.repeat(32)}-${'b'.repeat(16)}-01`],
    ['more without a dash', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01x`],
    ['a line break', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01\n`],
    ['a book', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01-${'x'.repeat(1_000)}`],
  ])('that is %s is none', (_what, text) => {
    expect(readTraceparent(text)).toBeUndefined();
    expect(cleanTraceparent(text)).toBeUndefined();
  });
});

const goal = { goalId: 'g', deadline: '2030-01-02T00:00:00.000Z', createdAt: '2030-01-01T00:00:00.000Z' };
const always = () => true;

describe('the trace of a goal', () => {
  test('follows from its name and birth, the same from the record of any of its tasks', () => {
    const trace = goalTrace('mesh', goal, always);
    // A task of a revision of the plan came later than the goal.
    expect(goalTrace('mesh', { ...goal, createdAt: '2030-01-01T05:00:00.000Z' }, always)).toEqual(trace);
    expect(trace.parentId).toBeUndefined();
    expect(trace.goal.traceId).toMatch(/^[0-9a-f]{32}$/);
    const others = [
      goalTrace('other', goal, always),
      goalTrace('mesh', { ...goal, goalId: 'h' }, always),
      goalTrace('mesh', { ...goal, deadline: '2030-01-03T00:00:00.000Z' }, always),
    ];
    for (const other of others) expect(other.goal.traceId).not.toBe(trace.goal.traceId);
    const attempts = [
      ['a', 1],
      ['a', 2],
      ['b', 1],
    ].map(([task, attempt]) => attemptSpanId(trace.goal, 'g', String(task), Number(attempt)));
    expect(new Set([...attempts, trace.goal.spanId]).size).toBe(4);
  });

  test('is the one that it was submitted with, and kept or not as whoever submitted it decided', () => {
    fc.assert(
      fc.property(context, (given) => {
        const trace = goalTrace('mesh', { ...goal, traceparent: traceparentOf(given) }, () => !given.sampled);
        expect(trace).toEqual({ goal: { ...given, spanId: trace.goal.spanId }, parentId: given.spanId });
        expect(trace.goal.spanId).not.toBe(given.spanId);
      }),
    );
  });
});

function recorder(samples = true): { readonly tracer: Tracer; readonly spans: FinishedSpan[] } {
  const spans: FinishedSpan[] = [];
  return {
    spans,
    tracer: { record: (span) => void spans.push(span), samples: () => samples, close: () => Promise.resolve() },
  };
}

const operation = { kind: 'submit', subject: 's', goalId: 'g' } as const;

describe('an operation', () => {
  test('hangs below its parent, and what it says names it', () => {
    const { tracer, spans } = recorder();
    const tracing = tracingOf(tracer, 'mesh');
    const above = traceparentOf({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true });
    const begun = tracing.begin(above);
    begun?.end(operation, { code: 'c', message: 'm' });
    const said = readTraceparent(begun?.traceparent);
    expect(spans).toMatchObject([
      { ...(said && { traceId: said.traceId, spanId: said.spanId }), parentId: 'b'.repeat(16), error: { code: 'c' } },
    ]);
    expect(spans[0]?.endMs).toBeGreaterThanOrEqual(spans[0]?.startMs ?? Number.POSITIVE_INFINITY);
  });

  test('of a trace that is not kept is not recorded; at the top, the sampler decides', () => {
    const dark = traceparentOf({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: false });
    expect(tracingOf(recorder().tracer, 'mesh').begin(dark)).toBeUndefined();
    expect(tracingOf(recorder(false).tracer, 'mesh').begin(undefined)).toBeUndefined();
    expect(tracingOf(recorder().tracer, 'mesh').begin(undefined)).toBeDefined();
    expect(UNTRACED.begin(undefined)).toBeUndefined();
  });

  test('gives its ids to everything that runs inside it, with and without a tracer', async () => {
    const inside = traceparentOf({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true });
    for (const tracing of [UNTRACED, tracingOf(recorder().tracer, 'mesh')]) {
      await tracing.within(inside, async () => {
        await Promise.resolve();
        expect(currentTrace()).toEqual({ trace_id: 'a'.repeat(32), span_id: 'b'.repeat(16) });
        tracing.within(undefined, () => expect(currentTrace()).toBeDefined());
      });
      expect(currentTrace()).toBeUndefined();
    }
  });
});

describe('the environment', () => {
  test.each([
    [{}, false],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, false],
    [{ OTEL_SERVICE_NAME: 'x' }, false],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, true],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c:4318/v1/traces' }, true],
    [{ OTEL_TRACES_EXPORTER: 'otlp' }, true],
    [{ OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, false],
    [{ OTEL_SDK_DISABLED: 'True', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, false],
  ])('%j asks for traces: %s', (env, wanted) => {
    expect(tracesWanted(env)).toBe(wanted);
  });

  test.each([
    [{}, { protocol: 'http/protobuf', ratio: 1, batch: {} }],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, { protocol: 'http/json' }],
    [
      { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/protobuf' },
      { protocol: 'http/protobuf' },
    ],
    [{ OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' }, { ratio: 0.25 }],
    [{ OTEL_TRACES_SAMPLER: 'parentbased_always_off' }, { ratio: 0 }],
    [
      { OTEL_BSP_SCHEDULE_DELAY: '100', OTEL_BSP_MAX_QUEUE_SIZE: '9' },
      { batch: { scheduledDelayMillis: 100, maxQueueSize: 9 } },
    ],
  ])('%j means %j', (env, settings) => {
    expect(traceSettings(env)).toMatchObject(settings);
  });

  test('an address that may hold a password is not repeated when it is refused', () => {
    const refused = () => traceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector://user:hunter2@host' });
    expect(refused).toThrow(/^OTEL_EXPORTER_OTLP_ENDPOINT: expected .*, got something else$/);
  });

  test('a sampler that keeps nothing needs no SDK', () => {
    expect(traceSettings({ OTEL_TRACES_SAMPLER: 'always_off' })).toBeUndefined();
  });
});

describe('the tree', () => {
  const span = (spanId: string, parentId: string | undefined, startMs: number, more: Partial<Span> = {}): Span => ({
    traceId: 't',
    spanId,
    parentId,
    name: spanId,
    kind: 1,
    startMs,
    endMs: startMs + 10,
    error: undefined,
    attributes: {},
    events: [],
    resource: { 'service.instance.id': `by-${spanId}` },
    ...more,
  });

  test('has every span below its parent, in the order of their beginnings, and those apart whose parent never came', () => {
    const spans = [span('c', 'a', 5), span('b', 'a', 2), span('a', undefined, 1), span('e', 'd', 0)];
    const { roots, orphans } = traceOf(spans);
    expect(roots.map((root) => [root.span.spanId, root.children.map((child) => child.span.spanId)])).toEqual([
      ['a', ['b', 'c']],
    ]);
    expect(orphans.map((orphan) => orphan.span.spanId)).toEqual(['e']);
    expect(processesOf(spans).size).toBe(4);
    const text = traceText(screenOf(Number.POSITIVE_INFINITY, false), [
      ...spans,
      span('x', 'a', 3, { error: 'no\u001b[2J', attributes: { 'error.type': 'oops' } }),
    ]);
    expect(text).toContain('├─ x  by-x  +3 ms  10 ms  oops: no\\u001b[2J');
    expect(text).toContain('1 span without its parent');
  });
});
