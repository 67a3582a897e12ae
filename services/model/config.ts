/** Environment of the offline model -> one frozen object, or one line that names the variable and what it accepts. */
import { FAULT_SYNTAX, type FaultRates, parseRates } from './faults.ts';

export interface Config {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly logLevel: string;
  readonly latencyMs: number;
  readonly rates: FaultRates;
  readonly seed: string;
}

export const LATENCY_MS_MAX = 600_000;
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];

export class ConfigError extends Error {}

export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const rates = parseRates(env['MODEL_FAULTS'] ?? '');
  if (rates === undefined) throw wrong('MODEL_FAULTS', FAULT_SYNTAX, env['MODEL_FAULTS']);
  const logLevel = env['LOG_LEVEL'] ?? 'info';
  if (!LOG_LEVELS.includes(logLevel)) throw wrong('LOG_LEVEL', `one of ${LOG_LEVELS.join(', ')}`, logLevel);
  const host = env['HOST'] ?? '127.0.0.1';
  if (!/^[A-Za-z0-9.:_-]+$/u.test(host)) throw wrong('HOST', 'a host name or an IP address to listen on', host);
  return Object.freeze({
    host,
    port: wholeNumber(env, 'HTTP_PORT', 0, 65_535, '0 (any free port) to 65535'),
    logLevel,
    latencyMs: wholeNumber(env, 'MODEL_LATENCY_MS', 0, LATENCY_MS_MAX, `whole milliseconds, 0 to ${LATENCY_MS_MAX}`),
    rates,
    seed: env['MODEL_SEED'] ?? '1',
  });
}

function wholeNumber(
  env: Readonly<Record<string, string | undefined>>,
  name: string,
  otherwise: number,
  highest: number,
  accepts: string,
): number {
  const text = env[name];
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (/^\d{1,9}$/u.test(text) && value <= highest) return value;
  throw wrong(name, accepts, text);
}

function wrong(name: string, accepts: string, got: string | undefined): ConfigError {
  return new ConfigError(`${name}: expected ${accepts}, got ${JSON.stringify(got)}`);
}
