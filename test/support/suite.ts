/** A suite that takes minutes, as a command: what it expects is printed as it is judged, and its last line is the one that CI counts. */

export interface Suite {
  /** One expectation. `detail`: what was measured; printed either way. */
  check(what: string, holds: boolean, detail?: string): void;
  note(text: string): void;
  /** Something to be undone at the end, last first, however the suite ends. */
  onEnd(undo: () => unknown): void;
  /** Said when an expectation failed. */
  onFailure(tell: () => string): void;
}

/** Runs it and sets the exit code. An error is a failed expectation: a suite that breaks off has proved nothing. */
export async function runSuite(name: string, body: (suite: Suite) => Promise<void>): Promise<void> {
  const startedAt = performance.now();
  const undo: (() => unknown)[] = [];
  const tell: (() => string)[] = [];
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  let passed = 0;
  let failed = 0;
  const suite: Suite = {
    check(what, holds, detail) {
      if (holds) passed += 1;
      else failed += 1;
      say(`${holds ? 'ok    ' : 'FAILED'} ${what}${detail === undefined ? '' : `: ${detail}`}`);
    },
    note: (text) => say(`       ${text}`),
    onEnd: (each) => void undo.unshift(each),
    onFailure: (each) => void tell.push(each),
  };
  say(name);
  try {
    await body(suite);
  } catch (error) {
    suite.check('it runs to its end', false, error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  if (failed > 0) for (const each of tell) say(each());
  for (const each of undo) await each();
  say(`${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
  say(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}
