/**
 * The kinds of test, each a folder of test/. Timeouts are for a busy machine of two cores: they end a test that hangs, they
 * judge no speed.
 */
export const testKinds = [
  { name: 'unit', timeoutMs: 10_000, broker: false, byNameOnly: false },
  { name: 'property', timeoutMs: 60_000, broker: false, byNameOnly: false },
  { name: 'sim', timeoutMs: 120_000, broker: false, byNameOnly: false },
  { name: 'contract', timeoutMs: 30_000, broker: true, byNameOnly: false },
  { name: 'integration', timeoutMs: 60_000, broker: true, byNameOnly: false },
  // Minutes each, so not in `make test`: suites of ci-long.
  { name: 'mutants', timeoutMs: 300_000, broker: false, byNameOnly: true },
  { name: 'security', timeoutMs: 120_000, broker: true, byNameOnly: true },
  // Needs a container engine, and installs one where it may: only for whoever asks for it.
  { name: 'containers', timeoutMs: 600_000, broker: false, byNameOnly: true },
] as const;
