/**
 * Spans to an OpenTelemetry collector over OTLP/HTTP. The only importer of OpenTelemetry, and loaded only when traces are wanted: it takes 60 ms and
 * some 10 MB. Endpoint, headers, certificates, timeout and compression are the exporter's own to read from `OTEL_EXPORTER_OTLP_*`.
 */
import { diag, DiagLogLevel, type HrTime, ROOT_CONTEXT, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import {
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  type ReadableSpan,
  SamplingDecision,
  type SpanExporter,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace';
import type { FinishedSpan, Tracer } from '../ports.ts';
import { ERROR_TYPE, nameOf, resourceOf, type Speaker } from './otel-names.ts';

export interface OtelOptions {
  readonly speaker: Speaker;
  readonly mesh: string;
  readonly protocol: 'http/protobuf' | 'http/json';
  /** Share of traces that begin here and are kept, 0 to 1. */
  readonly ratio: number;
  readonly batch: {
    readonly scheduledDelayMillis?: number;
    readonly maxQueueSize?: number;
    readonly maxExportBatchSize?: number;
    readonly exportTimeoutMillis?: number;
  };
  /** Something was lost, or could not be sent. */
  readonly onTrouble: (message: string) => void;
}

const SCOPE = 'conclave';

export async function otelTracer(options: OtelOptions): Promise<Tracer> {
  const { speaker, mesh, onTrouble } = options;
  const say = (message: string, ...details: readonly unknown[]): void =>
    onTrouble([message, ...details.map(textOf)].join(' '));
  const quiet = (): void => undefined;
  diag.setLogger(
    { error: say, warn: say, info: quiet, debug: quiet, verbose: quiet },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  // What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes before what we say of ourselves.
  const resource = resourceFromAttributes(resourceOf(speaker, mesh)).merge(
    detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] }),
  );
  const processor = new BatchSpanProcessor({ exporter: await exporterOf(options.protocol), ...options.batch });
  const sampler = new TraceIdRatioBasedSampler(options.ratio);
  const scope = { name: SCOPE, version: speaker.version };

  function readable(span: FinishedSpan): ReadableSpan {
    const { traceId, spanId, parentId, startMs, endMs, error } = span;
    const { name, kind, attributes, events = [] } = nameOf(span.operation, speaker);
    const context = { traceId, spanId, traceFlags: TraceFlags.SAMPLED };
    const end = Math.max(startMs, endMs);
    return {
      name,
      kind,
      spanContext: () => context,
      ...(parentId === undefined
        ? {}
        : { parentSpanContext: { traceId, spanId: parentId, traceFlags: TraceFlags.SAMPLED, isRemote: true } }),
      startTime: hrTime(startMs),
      endTime: hrTime(end),
      duration: hrTime(end - startMs),
      status:
        error === undefined ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: error.message },
      attributes: error === undefined ? attributes : { ...attributes, [ERROR_TYPE]: error.code },
      links: [],
      events: events.map(({ name: what, atMs, attributes: more }) => ({
        name: what,
        time: hrTime(atMs),
        attributes: more,
      })),
      ended: true,
      resource,
      instrumentationScope: scope,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };
  }

  return {
    record: (span) => processor.onEnd(readable(span)),
    samples: (traceId) => sampler.shouldSample(ROOT_CONTEXT, traceId).decision !== SamplingDecision.NOT_RECORD,
    close: async () => {
      await processor.shutdown().catch((error: unknown) => say('spans were lost at the end:', error));
      diag.disable();
    },
  };
}

/** The exporters differ in nothing but the encoding. */
async function exporterOf(protocol: OtelOptions['protocol']): Promise<SpanExporter> {
  if (protocol === 'http/json') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
    return new OTLPTraceExporter();
  }
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OTLPTraceExporter();
}

function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}

function textOf(detail: unknown): string {
  return detail instanceof Error ? detail.message : String(detail);
}
