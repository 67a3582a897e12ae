/** The stack that the user asks for: environment and .env -> options. */
import { type StackOptions, userVariables } from './stack.ts';

const PROJECT = /^[a-z0-9][a-z0-9_-]*$/;

/** Names in deploy/compose.yaml that a user may set. A key of the model's endpoint goes to a file, never to a container's environment. */
const passed = [
  'MESH',
  'LOG_LEVEL',
  'OPENAI_BASE_URL',
  'OPENAI_MODEL',
  'PLANNERS',
  'RESEARCHERS',
  'CODERS',
  'REVIEWERS',
  'ECHOES',
  'NATS_PORT',
  'NATS_PORT_2',
  'NATS_PORT_3',
  'PROMETHEUS_PORT',
  'GRAFANA_PORT',
] as const;

/** @throws Error of one line that names the variable. */
export function optionsFrom(variables: Readonly<Record<string, string>> = userVariables()): StackOptions {
  const nodes = variables['NODES'] ?? '3';
  if (nodes !== '1' && nodes !== '3') throw new Error(`NODES: expected 1 or 3, got ${JSON.stringify(nodes)}`);
  const project = variables['CONCLAVE_PROJECT'] ?? 'conclave';
  if (!PROJECT.test(project)) {
    throw new Error(`CONCLAVE_PROJECT: expected a-z 0-9 _ -, got ${JSON.stringify(project)}`);
  }
  const isTraced = (variables['TRACING'] ?? '0') !== '0';
  const key = variables['OPENAI_API_KEY'];
  return {
    project,
    nodes: nodes === '1' ? 1 : 3,
    variables: {
      ...Object.fromEntries(passed.flatMap((name) => (variables[name] ? [[name, variables[name]]] : []))),
      ...(isTraced ? { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' } : {}),
    },
    profiles: [...(variables['OPENAI_BASE_URL'] ? [] : ['offline']), ...(isTraced ? ['tracing'] : [])],
    secrets: {
      ...(key === undefined ? {} : { openAiKey: key }),
      ...(variables['MESH'] === undefined ? {} : { mesh: variables['MESH'] }),
      rotate: (variables['ROTATE'] ?? '').split(/[\s,]+/).filter(Boolean),
    },
  };
}
