/** The way from the environment to traces. Where they are not wanted, neither the SDK nor anything that makes spans is loaded. */
import type { Speaker } from '../adapters/otel-names.ts';
import type { Traces } from './traces.ts';
import { UNTRACED } from './tracing.ts';

type Variables = Readonly<Record<string, string | undefined>>;

export interface Speaking extends Speaker {
  readonly mesh: string;
  /** Spans were lost, or could not be sent. */
  readonly onTrouble: (message: string) => void;
}

const OFF: Traces = {
  tracing: UNTRACED,
  events: (events) => events,
  rounds: (hold) => hold,
  close: () => Promise.resolve(),
};

/** Traces are wanted when somebody says where they go, or that they go somewhere. */
export function tracesWanted(env: Variables): boolean {
  const { OTEL_SDK_DISABLED: disabled = '', OTEL_TRACES_EXPORTER: exporter = '' } = env;
  if (disabled.toLowerCase() === 'true' || exporter === 'none') return false;
  const { OTEL_EXPORTER_OTLP_ENDPOINT: all = '', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces = '' } = env;
  return exporter !== '' || all !== '' || traces !== '';
}

/** @throws ConfigError for a value that cannot be used. */
export async function openTraces(env: Variables, speaking: Speaking): Promise<Traces> {
  if (!tracesWanted(env)) return OFF;
  const { traceSettings } = await import('./otel-config.ts');
  const settings = traceSettings(env);
  if (settings === undefined) return OFF;
  const [{ otelTracer }, { tracesOf }] = await Promise.all([
    import('../adapters/otel-tracer.ts'),
    import('./traces.ts'),
  ]);
  const { mesh, onTrouble } = speaking;
  const tracer = await otelTracer({ speaker: speaking, mesh, ...settings, onTrouble });
  return tracesOf(tracer, speaking);
}
