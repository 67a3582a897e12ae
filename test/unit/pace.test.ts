import { describe, expect, test } from 'vitest';
import { paceOf } from '../../shared/adapters/pace.ts';

/** A pace that saw writes pipelined eight deep, answered so far apart, on a broker so far away. */
function seen(options: {
  readonly writeMs: number;
  readonly bareMs: number;
  readonly spacingMs: number;
  readonly batchMs: number;
}) {
  const pace = paceOf();
  let now = 1_000;
  pace.roundTrip(now, options.bareMs);
  for (let sent = 0; sent < 8; sent += 1) pace.plainSent();
  for (let answered = 0; answered < 2_000; answered += 1) {
    now += options.spacingMs;
    pace.plainSent();
    pace.plainAnswered(now, options.writeMs);
  }
  for (let batch = 0; batch < 50; batch += 1) pace.batched(options.batchMs);
  return pace;
}

describe('plain or batch', () => {
  test('without a flush per write nothing is worth a batch, however much waits', () => {
    const pace = seen({ writeMs: 0.2, bareMs: 0.1, spacingMs: 0.1, batchMs: 3 });
    expect(pace.way(400)).toBe('plain');
    expect(pace.window()).toBeGreaterThan(100);
  });

  test('with a flush per write a batch is, once what waits takes longer by itself', () => {
    const pace = seen({ writeMs: 0.6, bareMs: 0.1, spacingMs: 0.5, batchMs: 10 });
    expect(pace.way(5)).toBe('plain');
    expect(pace.way(50)).toBe('batch');
    expect(pace.window()).toBeLessThan(20);
  });

  test('a broker that is far away is not mistaken for a disk that is flushed', () => {
    const pace = seen({ writeMs: 5.1, bareMs: 5, spacingMs: 0.2, batchMs: 8 });
    expect(pace.way(400)).toBe('plain');
  });

  test('settings that change are noticed: a minimum is forgotten after two periods', () => {
    const pace = seen({ writeMs: 0.6, bareMs: 0.1, spacingMs: 0.5, batchMs: 10 });
    for (let minute = 1; minute <= 3; minute += 1) {
      pace.roundTrip(minute * 70_000, 0.1);
      pace.plainSent();
      pace.plainAnswered(minute * 70_000, 0.15);
    }
    expect(pace.way(50)).toBe('plain');
  });
});
