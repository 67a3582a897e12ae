import type { ModelUsage, Reservation, SpendGate, WorstCase } from '../../../shared/ports.ts';

export interface RecordingGate extends SpendGate {
  readonly reserved: WorstCase[];
  readonly settled: ModelUsage[];
  /** Reservations that are granted and not yet settled. */
  open(): number;
}

/** Grants `grants` reservations, then refuses; fails when one is settled twice. */
export function recordingGate(grants = Number.POSITIVE_INFINITY): RecordingGate {
  const reserved: WorstCase[] = [];
  const settled: ModelUsage[] = [];
  return {
    reserved,
    settled,
    open: () => reserved.length - settled.length,
    async reserve(worst): Promise<Reservation> {
      if (reserved.length >= grants) return { granted: false, limit: 'usd', message: 'the budget of 1 USD is used up' };
      reserved.push(worst);
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
