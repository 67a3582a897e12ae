/** The metadata of an object, as the object store of NATS (ADR-20) keeps it; the part that a reader needs. */
import { z } from 'zod';
import { Id } from './ids.ts';

export const ObjectMeta = z.object({
  /** Names the chunks' subject. */
  nuid: Id,
  /** `SHA-256=` and base64 for URLs. */
  digest: z.string(),
  deleted: z.boolean().optional(),
});
export type ObjectMeta = z.infer<typeof ObjectMeta>;
