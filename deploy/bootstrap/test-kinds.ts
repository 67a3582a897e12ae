/**
 * The kinds of test, each a folder of test/. Timeouts are for a busy machine of two cores: they end a test that hangs, they
 * judge no speed. `alone`: each file gets a process of its own, because it starts others, or measures itself; what tests functions only shares one, which
 * saves half of its processor time.
 */
export const testKinds = [
  { name: 'unit', timeoutMs: 10_000, alone: false, broker: false, byNameOnly: false },
  { name: 'property', timeoutMs: 60_000, alone: false, broker: false, byNameOnly: false },
  { name: 'sim', timeoutMs: 120_000, alone: true, broker: false, byNameOnly: false },
  { name: 'contract', timeoutMs: 30_000, alone: true, broker: true, byNameOnly: false },
  { name: 'integration', timeoutMs: 60_000, alone: true, broker: true, byNameOnly: false },
  // Minutes each, so not in `make test`: suites of ci-long.
  { name: 'mutants', timeoutMs: 300_000, alone: true, broker: false, byNameOnly: true },
  { name: 'security', timeoutMs: 120_000, alone: true, broker: true, byNameOnly: true },
  // Needs a container engine, and installs one where it may: only for whoever asks for it.
  { name: 'containers', timeoutMs: 600_000, alone: true, broker: false, byNameOnly: true },
] as const;
