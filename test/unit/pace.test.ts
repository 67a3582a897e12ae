import { describe, expect, test } from 'vitest';
import { paceOf } from '../../shared/adapters/pace.ts';

/** A pace that saw writes pipelined eight deep, answered so far apart. */
function seen(options: { readonly flushMs: number; readonly spacingMs: number; readonly batchMs: number }) {
  const pace = paceOf();
  let now = 1_000;
  pace.flushTakes(options.flushMs);
  for (let sent = 0; sent < 8; sent += 1) pace.plainSent();
  for (let answered = 0; answered < 2_000; answered += 1) {
    now += options.spacingMs;
    pace.plainSent();
    pace.plainAnswered(now);
  }
  for (let batch = 0; batch < 50; batch += 1) pace.batched(options.batchMs);
  return pace;
}

describe('plain or batch', () => {
  test('without a flush per write nothing is worth a batch, however much waits', () => {
    const pace = seen({ flushMs: 0.1, spacingMs: 0.1, batchMs: 3 });
    expect(pace.way(400)).toBe('plain');
    expect(pace.window()).toBeGreaterThan(100);
  });

  test('with a flush per write a batch is, once what waits takes longer by itself', () => {
    const pace = seen({ flushMs: 0.5, spacingMs: 0.5, batchMs: 10 });
    expect(pace.way(5)).toBe('plain');
    expect(pace.way(50)).toBe('batch');
    expect(pace.window()).toBeLessThan(20);
  });

  test('writes that nobody answered say nothing of how long others take', () => {
    const pace = seen({ flushMs: 0.5, spacingMs: 0.1, batchMs: 30 });
    expect(pace.way(50)).toBe('plain');
    for (let outage = 1; outage <= 100; outage += 1) {
      for (let lost = 0; lost < 8; lost += 1) pace.plainAnswered(undefined);
      for (let sent = 0; sent < 8; sent += 1) pace.plainSent();
      pace.plainAnswered(2_000 + outage * 5_000);
      pace.plainSent();
    }
    expect(pace.way(50)).toBe('plain');
  });

  test('a broker that comes back with other settings is another broker', () => {
    const pace = seen({ flushMs: 0.5, spacingMs: 0.5, batchMs: 10 });
    pace.flushTakes(0.05);
    expect(pace.way(50)).toBe('plain');
  });
});
