/** The agent's model and its prices, from the environment. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { UsageDoubt } from '../adapters/openai-usage.ts';
import type { PolicyObserver } from '../adapters/resilience.ts';
import { priceOf } from '../core/prices.ts';
import type { Model } from '../ports.ts';
import { PriceTable } from '../protocol/prices.ts';
import { ConfigError, type Environment } from './config.ts';
import type { Manifest } from './manifest.ts';

const PRICES_DEFAULT = fileURLToPath(new URL('../../deploy/prices.json', import.meta.url));

export function readPrices(config: Environment): PriceTable {
  const file = config.PRICES_FILE ?? PRICES_DEFAULT;
  try {
    return PriceTable.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new ConfigError(
      `PRICES_FILE: expected a price table in ${file}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`,
    );
  }
}

export interface ModelObserver extends PolicyObserver {
  /** The endpoint's count of a call was not believed; what was reserved, or what the text itself shows, was charged. */
  usageDoubted(doubt: UsageDoubt, detail: string): void;
}

/** Undefined when the agent uses none. Throws ConfigError when its model has no price: no budget could hold. */
export async function modelOf(
  config: Environment,
  manifest: Manifest,
  prices: PriceTable,
  slots: number,
  observer: ModelObserver,
): Promise<Model | undefined> {
  if (!manifest.usesModel || config.OPENAI_BASE_URL === undefined) return undefined;
  // Loaded only by agents that need them.
  const [{ createPolicy }, { openAiModel }] = await Promise.all([
    import('../adapters/resilience.ts'),
    import('../adapters/openai-model.ts'),
  ]);
  const policy = createPolicy(
    {
      name: 'model',
      timeoutMs: config.MODEL_TIMEOUT_MS,
      retry: { maxAttempts: config.MODEL_ATTEMPTS, baseMs: 250, capMs: 8_000, retryAfterMaxMs: 30_000 },
      breaker: { kind: 'consecutive', failures: 8, halfOpenAfterMs: 5_000 },
      bulkhead: { limit: Math.max(8, slots), queue: 256 },
    },
    observer,
  );
  const price = priceOf(prices, config.OPENAI_MODEL);
  if (!price.ok) throw new ConfigError(`OPENAI_MODEL: ${price.message}`);
  return openAiModel({
    baseUrl: config.OPENAI_BASE_URL,
    apiKey: config.OPENAI_API_KEY ?? 'none',
    model: config.OPENAI_MODEL,
    prices,
    policy,
    outputLimit: config.MODEL_OUTPUT_LIMIT,
    onDoubt: (doubt, detail) => observer.usageDoubted(doubt, detail),
  });
}
