/**
 * Ends a run with one line, `N passed, N failed`, over all projects, and fails a run that proves less than it seems to: one that
 * ran no test, left one out, or would have tried one again.
 */
import type { Reporter, SerializedError, TestCase, TestModule, Vitest } from 'vitest/node';

interface Count {
  passed: number;
  /** Failed tests, plus one per file or suite that failed outside its tests, plus errors that no test caught. */
  failed: number;
  /** What passed for no failure and is one, a line each. */
  readonly refused: string[];
}

export default class CountReporter implements Reporter {
  private count: Count = { passed: 0, failed: 0, refused: [] };
  /** A person who asks for tests by name means to leave the others out. */
  private byName = false;

  onInit(vitest: Vitest): void {
    this.byName = vitest.config.testNamePattern !== undefined;
    // Printed on exit, because teardown may still print after the last hook of a reporter; nothing may follow this line.
    process.once('exit', (code) => {
      const { passed, failed, refused } = this.count;
      if (passed + failed + refused.length === 0) refused.push('No test ran, which proves nothing.');
      const summary = `${passed} passed, ${failed + refused.length} failed`;
      process.stdout.write(`${[...refused, summary].join('\n')}\n`);
      if (failed + refused.length > 0 && code === 0) process.exitCode = 1;
    });
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    this.count = { passed: 0, failed: unhandledErrors.length, refused: [] };
    for (const module of modules) {
      if (module.errors().length > 0) this.count.failed += 1;
      for (const suite of module.children.allSuites()) if (suite.errors().length > 0) this.count.failed += 1;
      for (const test of module.children.allTests()) this.add(test, `${module.relativeModuleId} > ${test.fullName}`);
    }
  }

  private add(test: TestCase, name: string): void {
    const { state } = test.result();
    const { retry } = test.options;
    if (state === 'failed') this.count.failed += 1;
    else if (state !== 'passed') {
      if (!this.byName) this.count.refused.push(`Not run: ${name}`);
    } else if (retry !== undefined && retry !== 0) this.count.refused.push(`Would be tried again: ${name}`);
    else this.count.passed += 1;
  }
}
