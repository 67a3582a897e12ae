/** The price table of `deploy/prices.json`: what tokens and messages cost, in USD. */
import { z } from 'zod';

const Usd = z.number().nonnegative().max(1_000_000);

/** USD per million tokens. Prices finer than 1e-9 USD per million tokens are rounded (see cost.ts). */
export const ModelPrice = z.strictObject({
  inputUsdPerMTok: Usd,
  outputUsdPerMTok: Usd,
  note: z.string().optional(),
});
export type ModelPrice = z.infer<typeof ModelPrice>;

/** USD per message and per 1024 bytes of payload. */
export const CommunicationPrice = z.strictObject({
  usdPerMessage: Usd,
  usdPerKiB: Usd,
  note: z.string().optional(),
});
export type CommunicationPrice = z.infer<typeof CommunicationPrice>;

/** Strict objects: people edit this file, and a misspelt key must not silently turn a price into the default. */
export const PriceTable = z.strictObject({
  note: z.string().optional(),
  models: z.record(z.string().min(1), ModelPrice),
  communication: CommunicationPrice,
  /** The price of every model that is not listed. Without it an unlisted model is an error. */
  default: ModelPrice.optional(),
});
export type PriceTable = z.infer<typeof PriceTable>;
