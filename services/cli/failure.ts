/** How a command ends badly: what is said on stderr, and the exit code. */

export const EXIT = {
  done: 0,
  /** The goal failed, was rejected or cancelled; what was asked for is not there. */
  failed: 1,
  usage: 2,
  /** sysexits' EX_UNAVAILABLE: no broker, or no mesh on it. */
  unreachable: 69,
  /** As timeout(1) has it. */
  waitedTooLong: 124,
  /** 128 + SIGINT. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends the command with one line that a person can act on. */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode;
  constructor(exitCode: ExitCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = 'CommandFailure';
    this.exitCode = exitCode;
  }
}
