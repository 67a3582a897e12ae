/**
 * The standard `OTEL_*` variables, as far as they concern traces. Off by default, unlike in the standard, because a mesh without a collector should not
 * complain about the lack of one: traces are wanted when an endpoint is named, or `OTEL_TRACES_EXPORTER=otlp`.
 */
import { z } from 'zod';
import type { OtelOptions } from '../adapters/otel-tracer.ts';
import { ConfigError } from './config.ts';

type Variables = Readonly<Record<string, string | undefined>>;

const Url = z.url({ protocol: /^https?$/ });
const Protocol = z.enum(['http/protobuf', 'http/json']);
const Whole = z.coerce.number().int().min(1).max(3_600_000);

const Environment = z.object({
  OTEL_TRACES_EXPORTER: z.enum(['otlp', 'none']).optional(),
  OTEL_EXPORTER_OTLP_ENDPOINT: Url.optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: Url.optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: Protocol.optional(),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: Protocol.optional(),
  OTEL_TRACES_SAMPLER: z
    .enum([
      'always_on',
      'always_off',
      'traceidratio',
      'parentbased_always_on',
      'parentbased_always_off',
      'parentbased_traceidratio',
    ])
    .default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).default(1),
  OTEL_BSP_SCHEDULE_DELAY: Whole.optional(),
  OTEL_BSP_EXPORT_TIMEOUT: Whole.optional(),
  OTEL_BSP_MAX_QUEUE_SIZE: Whole.optional(),
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: Whole.optional(),
});
type Environment = z.infer<typeof Environment>;

const URL_TEXT = 'an http or https URL of a collector, e.g. http://127.0.0.1:4318';
const PROTOCOL_TEXT = 'http/protobuf or http/json (grpc is not spoken)';
const WHOLE_TEXT = 'a whole number from 1 to 3600000';
const ACCEPTS: Readonly<Record<keyof Environment, string>> = {
  OTEL_TRACES_EXPORTER: 'otlp or none',
  OTEL_EXPORTER_OTLP_ENDPOINT: URL_TEXT,
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${URL_TEXT}/v1/traces`,
  OTEL_EXPORTER_OTLP_PROTOCOL: PROTOCOL_TEXT,
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: PROTOCOL_TEXT,
  OTEL_TRACES_SAMPLER: 'always_on, always_off, traceidratio, or one of these after parentbased_',
  OTEL_TRACES_SAMPLER_ARG: 'the share of traces to keep, from 0 to 1',
  OTEL_BSP_SCHEDULE_DELAY: WHOLE_TEXT,
  OTEL_BSP_EXPORT_TIMEOUT: WHOLE_TEXT,
  OTEL_BSP_MAX_QUEUE_SIZE: WHOLE_TEXT,
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: WHOLE_TEXT,
};

/** What the variables say of how traces are kept and sent. */
export type TraceSettings = Pick<OtelOptions, 'protocol' | 'ratio' | 'batch'>;

/** Undefined when nothing is to be kept. @throws ConfigError for a value that cannot be used. */
export function traceSettings(env: Variables): TraceSettings | undefined {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = Environment.safeParse(set);
  if (!parsed.success) {
    const path = parsed.error.issues[0]?.path[0];
    const name = Object.keys(Environment.shape).find((key): key is keyof Environment => key === path);
    const value = set[name ?? ''] ?? '';
    // An address may hold a password.
    const got = value.includes('@') ? 'something else' : JSON.stringify(value);
    throw new ConfigError(`${name ?? 'OTEL_*'}: expected ${ACCEPTS[name ?? 'OTEL_TRACES_EXPORTER']}, got ${got}`);
  }
  const config = parsed.data;
  const ratio = ratioOf(config);
  // A trace that begins elsewhere brings its own decision, but for the one sampler that keeps nothing at all.
  if (config.OTEL_TRACES_SAMPLER === 'always_off') return undefined;
  return {
    protocol: config.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? config.OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/protobuf',
    ratio,
    batch: {
      ...defined('scheduledDelayMillis', config.OTEL_BSP_SCHEDULE_DELAY),
      ...defined('exportTimeoutMillis', config.OTEL_BSP_EXPORT_TIMEOUT),
      ...defined('maxQueueSize', config.OTEL_BSP_MAX_QUEUE_SIZE),
      ...defined('maxExportBatchSize', config.OTEL_BSP_MAX_EXPORT_BATCH_SIZE),
    },
  };
}

function ratioOf({ OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: argument }: Environment): number {
  switch (sampler) {
    case 'always_on':
    case 'parentbased_always_on':
      return 1;
    case 'always_off':
    case 'parentbased_always_off':
      return 0;
    case 'traceidratio':
    case 'parentbased_traceidratio':
      return argument;
  }
}

function defined<K extends string>(name: K, value: number | undefined): { readonly [key in K]?: number } {
  const found: { [key in K]?: number } = {};
  if (value !== undefined) found[name] = value;
  return found;
}
