/** Looking a model up in the price table. */
import type { ModelPrice, PriceTable } from '../protocol/prices.ts';

export type PriceLookup =
  | { readonly ok: true; readonly price: ModelPrice; readonly source: 'listed' | 'default' }
  | { readonly ok: false; readonly message: string };

/** The price of `model` by its exact name, else the table's default, else an error that names the model. */
export function priceOf(table: PriceTable, model: string): PriceLookup {
  // Own keys only: a model called `constructor` must not find Object.prototype.
  const listed = Object.hasOwn(table.models, model) ? table.models[model] : undefined;
  if (listed !== undefined) return { ok: true, price: listed, source: 'listed' };
  if (table.default !== undefined) return { ok: true, price: table.default, source: 'default' };
  const known = Object.keys(table.models).join(', ');
  return {
    ok: false,
    message: `no price for model "${model}": add it under "models" or set "default" in the price table (listed: ${known})`,
  };
}
