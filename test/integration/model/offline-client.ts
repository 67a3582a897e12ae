import { readFile } from 'node:fs/promises';
import { openAiModel } from '../../../shared/adapters/openai-model.ts';
import { createPolicy, type PolicyOptions } from '../../../shared/adapters/resilience.ts';
import { PriceTable } from '../../../shared/protocol/prices.ts';
import type { Model, ModelRequest } from '../../../shared/ports.ts';
import { instantTime } from '../../unit/model/manual-time.ts';
import { recordingGate } from '../../unit/model/spend-gate.ts';

const PRICES = PriceTable.parse(
  JSON.parse(await readFile(new URL('../../../deploy/prices.json', import.meta.url), 'utf8')),
);

const POLICY: PolicyOptions = {
  name: 'model',
  timeoutMs: 20_000,
  retry: { maxAttempts: 4, baseMs: 50, capMs: 1000, retryAfterMaxMs: 10_000 },
  breaker: { kind: 'consecutive', failures: 1000, halfOpenAfterMs: 1000 },
  bulkhead: { limit: 8, queue: 1000 },
};

/** The real client, with waits between attempts left out. */
export function offlineClient(baseUrl: string, policy: Partial<PolicyOptions> = {}): Model {
  const observer = { breakerState: () => {}, retry: () => {}, timeout: () => {}, overloaded: () => {} };
  return openAiModel({
    baseUrl,
    apiKey: 'offline',
    model: 'conclave-offline-1',
    prices: PRICES,
    policy: createPolicy({ ...POLICY, ...policy }, observer, instantTime()),
  });
}

type Question<T> = Pick<ModelRequest<T>, 'name' | 'system' | 'user' | 'schema' | 'maxOutputTokens'>;

export function requestOf<T>(question: Question<T>, more: Partial<ModelRequest<T>> = {}): ModelRequest<T> {
  return { ...question, budget: recordingGate(), signal: new AbortController().signal, ...more };
}
