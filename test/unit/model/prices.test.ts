import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { priceOf } from '../../../shared/core/prices.ts';
import { PriceTable } from '../../../shared/protocol/prices.ts';

const shipped = PriceTable.parse(
  JSON.parse(await readFile(new URL('../../../deploy/prices.json', import.meta.url), 'utf8')),
);

describe('the shipped price table', () => {
  it('prices the offline model nominally, and says so', () => {
    const found = priceOf(shipped, 'conclave-offline-1');
    expect(found).toMatchObject({ ok: true, source: 'listed' });
    expect(found.ok && found.price.note).toMatch(/^Nominal/);
  });

  it('prices unlisted models above every listed one, so that a budget stops too early rather than too late', () => {
    const unlisted = priceOf(shipped, 'a-model-of-next-year');
    expect(unlisted).toMatchObject({ ok: true, source: 'default' });
    for (const price of Object.values(shipped.models)) {
      expect(unlisted.ok && unlisted.price.inputUsdPerMTok).toBeGreaterThan(price.inputUsdPerMTok);
      expect(unlisted.ok && unlisted.price.outputUsdPerMTok).toBeGreaterThan(price.outputUsdPerMTok);
    }
  });
});

describe('priceOf', () => {
  const { default: _, ...strict } = shipped;

  it.each(['unknown', 'constructor', '__proto__', ''])('names the model %j when there is no price', (model) => {
    const found = priceOf(strict, model);
    expect(found.ok).toBe(false);
    expect(!found.ok && found.message).toContain(`no price for model "${model}"`);
  });
});

describe('PriceTable', () => {
  it.each<[unknown, string]>([
    [{ ...shipped, defualt: shipped.default }, 'a misspelt key'],
    [{ ...shipped, models: { m: { inputUsdPerMTok: 1 } } }, 'a missing price'],
    [{ ...shipped, models: { m: { inputUsdPerMTok: -1, outputUsdPerMTok: 1 } } }, 'a negative price'],
    [{ ...shipped, models: { m: { inputUsdPerMTok: '1', outputUsdPerMTok: 1 } } }, 'a price in quotes'],
  ])('refuses %# (%s)', (table) => {
    expect(PriceTable.safeParse(table).success).toBe(false);
  });
});
