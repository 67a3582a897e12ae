/** Environment -> frozen configuration. A wrong value is one line that names the variable and what it accepts, and exit code 78 (EX_CONFIG). */
import { z } from 'zod';
import { Id } from '../protocol/ids.ts';
import { BROKER_SETTINGS } from './broker-settings.ts';
import { withSecretFiles } from './secret-files.ts';

export const EXIT_CONFIG = 78;

const Port = z.coerce.number().int().min(0).max(65_535);
const Text = z.string().min(1);
/** One identity a line: an agent id and its seed. */
const Identities = z
  .string()
  .transform((text) =>
    text
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([first]) => first !== ''),
  )
  .pipe(z.array(z.tuple([Id, Text.refine(BROKER_SETTINGS.NATS_NKEY_SEED.fits)])).min(1))
  .transform((lines) => lines.map(([agentId, seed]) => ({ agentId, seed })));

const Environment = z.object({
  NATS_URL: Text.refine(BROKER_SETTINGS.NATS_URL.fits).default('nats://127.0.0.1:4222'),
  NATS_CA: Text.refine(BROKER_SETTINGS.NATS_CA.fits).optional(),
  NATS_CREDS: Text.refine(BROKER_SETTINGS.NATS_CREDS.fits).optional(),
  NATS_NKEY_SEED: Text.refine(BROKER_SETTINGS.NATS_NKEY_SEED.fits).optional(),
  NATS_IDENTITIES: Identities.optional(),
  MESH: Id.default('mesh'),
  AGENT_ID: Id.optional(),
  HTTP_HOST: Text.default('127.0.0.1'),
  HTTP_PORT: Port.default(0),
  SLOTS: z.coerce.number().int().min(1).max(10_000).optional(),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  OPENAI_BASE_URL: z.url({ protocol: /^https?$/ }).optional(),
  OPENAI_API_KEY: Text.optional(),
  OPENAI_MODEL: Text.default('conclave-offline-1'),
  MODEL_TIMEOUT_MS: z.coerce.number().int().min(100).max(3_600_000).default(60_000),
  MODEL_ATTEMPTS: z.coerce.number().int().min(1).max(20).default(4),
  MODEL_OUTPUT_LIMIT: z.enum(['max_completion_tokens', 'max_tokens']).default('max_completion_tokens'),
  SIGNING: z.enum(['off', 'required']).default('off'),
  STREAMS: z.enum(['create', 'bind']).default('create'),
  REPLICAS: z.coerce.number().int().min(1).max(5).default(1),
  PRICES_FILE: Text.optional(),
  DRAIN_MS: z.coerce.number().int().min(0).max(600_000).default(20_000),
});
export type Environment = z.infer<typeof Environment>;

const ACCEPTS: Readonly<Record<keyof Environment, string>> = {
  NATS_URL: BROKER_SETTINGS.NATS_URL.accepts,
  NATS_CA: BROKER_SETTINGS.NATS_CA.accepts,
  NATS_CREDS: BROKER_SETTINGS.NATS_CREDS.accepts,
  NATS_NKEY_SEED: BROKER_SETTINGS.NATS_NKEY_SEED.accepts,
  NATS_IDENTITIES: 'lines of an agent id and its user seed, separated by a space',
  MESH: '1 to 64 characters of A-Z a-z 0-9 _ -',
  AGENT_ID: '1 to 64 characters of A-Z a-z 0-9 _ -',
  HTTP_HOST: 'an address to listen on, e.g. 127.0.0.1 or 0.0.0.0',
  HTTP_PORT: 'a port from 0 to 65535 (0: any free one)',
  SLOTS: 'a whole number from 1 to 10000',
  LOG_LEVEL: 'one of fatal, error, warn, info, debug, trace, silent',
  OPENAI_BASE_URL: 'an http or https URL up to and including the version, e.g. http://127.0.0.1:8080/v1',
  OPENAI_API_KEY: 'a non-empty key (any text for an endpoint that does not check it)',
  OPENAI_MODEL: 'the name of a model',
  MODEL_TIMEOUT_MS: 'milliseconds from 100 to 3600000, for one HTTP call to the model',
  MODEL_ATTEMPTS: 'a whole number from 1 to 20, HTTP calls for one question',
  MODEL_OUTPUT_LIMIT: 'max_completion_tokens, or max_tokens for endpoints that know no other name',
  SIGNING: 'off, or required (messages and ballots carry the signature of their sender, or are not heard)',
  STREAMS: 'create (what is missing) or bind (to what `conclave admin init` made)',
  REPLICAS: 'a whole number from 1 to 5 (1 on a single server, 3 on a cluster)',
  PRICES_FILE: 'the path of a price table (see deploy/prices.json)',
  DRAIN_MS: 'milliseconds from 0 to 600000',
};

/** A value that cannot be used. `message` is the one line to print. */
export class ConfigError extends Error {}

/** An empty variable counts as unset. Throws ConfigError. */
export function readConfig(
  env: Readonly<Record<string, string | undefined>>,
  required: readonly (keyof Environment)[] = [],
): Readonly<Environment> {
  const { env: filled, unreadable } = withSecretFiles(env);
  if (unreadable !== undefined) {
    throw new ConfigError(
      `${unreadable.variable}: expected the path of a readable file, got ${JSON.stringify(unreadable.file)}`,
    );
  }
  const set = Object.fromEntries(Object.entries(filled).filter(([, value]) => value !== undefined && value !== ''));
  const missing = required.find((name) => set[name] === undefined);
  if (missing !== undefined) throw new ConfigError(`${missing}: expected ${ACCEPTS[missing]}, got nothing; set it`);
  const parsed = Environment.safeParse(set);
  if (parsed.success) return Object.freeze(parsed.data);
  const name = variableOf(parsed.error.issues[0]?.path[0]);
  // A seed, a key, or an address that may hold a password is never echoed.
  const secret =
    name === 'NATS_NKEY_SEED' ||
    name === 'NATS_IDENTITIES' ||
    name === 'OPENAI_API_KEY' ||
    (name === 'NATS_URL' && set[name]?.includes('@') === true);
  throw new ConfigError(
    `${name}: expected ${ACCEPTS[name]}, got ${secret ? 'something else' : JSON.stringify(set[name])}`,
  );
}

function variableOf(path: PropertyKey | undefined): keyof Environment {
  const name = Object.keys(Environment.shape).find((key): key is keyof Environment => key === path);
  return name ?? 'NATS_URL';
}
