import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { manifest } from '../../../services/echo/handler.ts';
import { HandlerError } from '../../../shared/runtime/context.ts';
import { type FakeOptions, fakeContext } from '../../support/fake-context.ts';

const echo = manifest.capabilities['echo'];

function run(options: FakeOptions<unknown>): Promise<unknown> {
  if (echo === undefined) throw new Error('expected a capability "echo"');
  return echo.run(fakeContext(options).context);
}

describe('echo', () => {
  test.each([{ a: [1, { b: null }] }, 'words', 7, false, [['x']], null, {}])(
    'gives back %j and the dependencies',
    async (input) => {
      expect(await run({ input, dependencies: { t1: 'one' } })).toEqual({ input, dependencies: { t1: 'one' } });
    },
  );

  test('without an input it is null', async () => {
    expect(await run({})).toEqual({ input: null, dependencies: {} });
  });

  test('bytes: a string of that many characters', async () => {
    expect(await run({ input: { bytes: 0 } })).toBe('');
    expect(await run({ input: { bytes: 200 } })).toBe('x'.repeat(200));
  });

  test('digest: the number of dependencies and the size of their JSON in bytes', async () => {
    expect(await run({ input: { digest: true }, dependencies: { t1: 'ä', t2: 2 } })).toEqual({ count: 2, bytes: 18 });
  });

  test('failTimes: the first attempts fail and may be tried again', async () => {
    const attempt = (number: number) => run({ input: { failTimes: 2 }, attempt: number });
    await expect(attempt(1)).rejects.toMatchObject({ code: 'echo_failed', retry: true });
    await expect(attempt(2)).rejects.toBeInstanceOf(HandlerError);
    expect(await attempt(3)).toEqual({ input: { failTimes: 2 }, dependencies: {} });
  });

  test('delayMs: waits, and stops waiting when it is aborted', async () => {
    expect(await run({ input: { delayMs: 1 } })).toEqual({ input: { delayMs: 1 }, dependencies: {} });
    const stop = new AbortController();
    const waiting = run({ input: { delayMs: 8 * 2 ** 20 }, signal: stop.signal });
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  });

  test.each([{ delayMs: 'long' }, { bytes: -1 }, { bytes: 8 * 2 ** 20 + 1 }, { failTimes: 0.5 }, { digest: 1 }])(
    'the input %j does not fit',
    (input) => {
      expect(echo?.input.safeParse(input).error?.issues[0]?.message).toMatch(/expected (delayMs|number)/);
    },
  );

  test('the whole agent has less than 30 lines', () => {
    const lines = ['handler.ts', 'main.ts'].flatMap((file) =>
      readFileSync(new URL(`../../../services/echo/${file}`, import.meta.url), 'utf8')
        .trimEnd()
        .split('\n'),
    );
    expect(lines.length).toBeLessThan(30);
  });
});
