/** A terminal that remembers what was written to it. */
import { screenOf } from '../../../services/cli/render/screen.ts';
import type { Terminal } from '../../../services/cli/terminal.ts';
import { CREATED_MS } from './records.ts';

export interface FakeTerminal extends Terminal {
  readonly stdout: string[];
  readonly stderr: string[];
  /** Frames that were painted. */
  readonly frames: string[];
  /** Presses Ctrl-C. */
  interrupt(): void;
}

export interface FakeTerminalOptions {
  readonly interactive?: boolean;
  readonly width?: number;
  readonly rows?: number;
  readonly stdin?: Uint8Array;
  readonly now?: () => number;
  /** Called after each frame. */
  readonly onFrame?: (frame: string) => void;
}

export function fakeTerminal(options: FakeTerminalOptions = {}): FakeTerminal {
  const { interactive = false, width = 80, rows = 24, stdin = new Uint8Array(), now = () => CREATED_MS } = options;
  const pressed = new AbortController();
  const stdout: string[] = [];
  const stderr: string[] = [];
  const frames: string[] = [];
  return {
    stdout,
    stderr,
    frames,
    interactive,
    screen: () => screenOf(interactive ? width : Number.POSITIVE_INFINITY, false),
    rows: () => rows,
    out: (text) => void stdout.push(text),
    room: async () => {},
    note: (line) => void stderr.push(line),
    live: async () => ({
      paint(frame) {
        frames.push(frame);
        options.onFrame?.(frame);
      },
      close() {},
    }),
    stdin: async () => stdin,
    now,
    signal: pressed.signal,
    interrupt: () => pressed.abort(),
  };
}
