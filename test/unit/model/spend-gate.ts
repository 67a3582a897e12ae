import type { ModelUsage, Reservation, SpendGate } from '../../../shared/ports.ts';

export interface RecordingGate extends SpendGate {
  readonly reserved: ModelUsage[];
  /** For how long each was reserved, ms. */
  readonly withinMs: (number | undefined)[];
  readonly settled: ModelUsage[];
  /** Reservations that are granted and not yet settled. */
  open(): number;
}

/** Grants `grants` reservations, then refuses; fails when one is settled twice. */
export function recordingGate(grants = Number.POSITIVE_INFINITY): RecordingGate {
  const reserved: ModelUsage[] = [];
  const within: (number | undefined)[] = [];
  const settled: ModelUsage[] = [];
  return {
    reserved,
    withinMs: within,
    settled,
    open: () => reserved.length - settled.length,
    async reserve({ withinMs, ...worst }): Promise<Reservation> {
      if (reserved.length >= grants) return { granted: false, limit: 'usd', message: 'the budget of 1 USD is used up' };
      reserved.push(worst);
      within.push(withinMs);
      let done = false;
      return {
        granted: true,
        async settle(actual) {
          if (done) throw new Error('settled twice');
          done = true;
          settled.push(actual);
        },
      };
    },
  };
}
