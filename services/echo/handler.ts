/** Gives back what it got: the smallest agent there is. Tests and benchmarks make it wait, fail, or answer big. */
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { HandlerError } from '../../shared/runtime/context.ts';
import { capability, type Manifest } from '../../shared/runtime/manifest.ts';

const n = z.int().min(0).max(8_388_608); // Milliseconds, attempts, characters: no input can fill an agent's memory (I10).
const hint = 'expected delayMs, failTimes, bytes: whole numbers up to 8388608; digest: true or false';
const Knobs = z.looseObject({ delayMs: n, failTimes: n, bytes: n, digest: z.boolean() }).partial();
const Lenient = Knobs.catch({});
const echo = capability({
  description: 'Returns its input and the results of its dependencies',
  input: z.union([Knobs, z.string(), z.number(), z.boolean(), z.array(z.unknown())], hint).nullish(),
  output: z.unknown(),
  async run({ input, dependencies: got, attempt, signal }) {
    const { delayMs = 0, failTimes = 0, bytes, digest } = Lenient.parse(input);
    if (delayMs > 0) await wait(delayMs, undefined, { signal });
    if (attempt <= failTimes) throw new HandlerError('echo_failed', `attempt ${attempt} fails as the input asks for`);
    if (digest === true) return { count: Object.keys(got).length, bytes: Buffer.byteLength(JSON.stringify(got)) };
    return bytes === undefined ? { input: input ?? null, dependencies: got } : 'x'.repeat(bytes);
  },
});

const boundary = { role: 'echo', responsibility: 'Gives back what it got.', version: '1.0.0', limits: { slots: 8 } };
export const manifest: Manifest = { ...boundary, capabilities: { echo }, mayMessage: [], usesModel: false };
