/** The process's own streams as a command sees them. Tests pass their own. */
import { once } from 'node:events';
import { type Screen, screenOf } from './render/screen.ts';

export interface Terminal {
  /** Layout and colours of stdout, as they are now: a window may be resized. */
  screen(): Screen;
  /** Rows of stdout. */
  rows(): number;
  /** True when stdout is a terminal that can be repainted. */
  readonly interactive: boolean;
  /** Writes lines to stdout. */
  out(text: string): void;
  /** Resolves once stdout has room: whoever writes much waits for its reader, or all of it would pile up in memory. */
  room(): Promise<void>;
  /** Writes one line to stderr. */
  note(line: string): void;
  /** Opens a part of the screen that is painted over and over. */
  live(): Promise<LiveArea>;
  stdin(): Promise<Uint8Array>;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

export interface LiveArea {
  paint(frame: string): void;
  /** Leaves the last frame standing, and the cursor below it. */
  close(): void;
}

const WIDTH_MIN = 20;

export function processTerminal(signal: AbortSignal): Terminal {
  const { stdout, stderr, stdin, env } = process;
  // A terminal without a size (a build machine's) cannot be painted on.
  const interactive = stdout.isTTY && stdout.columns > 0 && stdout.rows > 0 && env['TERM'] !== 'dumb';
  return {
    // `hasColors` knows NO_COLOR, FORCE_COLOR and TERM.
    screen: () =>
      screenOf(
        stdout.columns > 0 ? Math.max(WIDTH_MIN, stdout.columns) : Number.POSITIVE_INFINITY,
        stdout.isTTY && stdout.hasColors(),
      ),
    rows: () => stdout.rows,
    interactive,
    out: (text) => void stdout.write(`${text}\n`),
    room: async () => {
      if (stdout.writableNeedDrain) await once(stdout, 'drain');
    },
    note: (line) => void stderr.write(`${line}\n`),
    async live() {
      const { createLogUpdate } = await import('log-update');
      // The cursor stays: hidden, a killed process would leave the terminal without one.
      const update = createLogUpdate(stdout, { showCursor: true });
      return { paint: (frame) => update(frame), close: () => update.done() };
    },
    async stdin() {
      const { buffer } = await import('node:stream/consumers');
      return buffer(stdin);
    },
    now: () => Date.now(),
    signal,
  };
}
