/** Observations that count for a while: whoever made one may never be asked again, and must not go on saying what was true once. */
export interface Fading {
  /** Forgotten after the lifetime, or as the oldest of too many (I10). */
  see(key: string, value: number): void;
  forget(key: string): void;
  /** What was seen within the lifetime. */
  entries(): readonly (readonly [key: string, value: number])[];
}

export function fading(lifetimeMs: number, entriesMax: number, now: () => number = Date.now): Fading {
  const seen = new Map<string, { readonly value: number; readonly until: number }>();
  return {
    see(key, value) {
      // Set anew, so that the map stays in the order of age.
      seen.delete(key);
      seen.set(key, { value, until: now() + lifetimeMs });
      const [oldest] = seen.keys();
      if (seen.size > entriesMax && oldest !== undefined) seen.delete(oldest);
    },
    forget: (key) => void seen.delete(key),
    entries() {
      const at = now();
      for (const [key, { until }] of seen) {
        if (until > at) break;
        seen.delete(key);
      }
      return [...seen].map(([key, { value }]) => [key, value] as const);
    },
  };
}
