/**
 * Where log lines go: standard output, in order, several in one write. A busy agent that wrote each line by itself spent six per cent of its processor
 * time on that.
 */
import { type DestinationStream, destination } from 'pino';

/** How long a line may wait for company. A process that ends by itself writes what waits; one that is killed loses it. */
const WAIT_MS = 25;
/** As much is written without waiting. */
const BYTES_MAX = 8 * 1024;

export interface LogLines extends DestinationStream {
  /** Writes what waits and then calls back. */
  flush(done?: (error?: Error | null) => void): void;
  flushSync(): void;
}

/** `dest`: a path or a file descriptor. Once nobody reads it any more, lines are for nobody, and no error. */
export function logLines(dest: string | number): LogLines {
  // By this thread: what another has in hand is lost with a process that throws, and comes after what is written at the end. It is cheaper, too.
  const out = destination({ dest, sync: true, minLength: BYTES_MAX });
  let isDue = false;
  const write = (): void => {
    isDue = false;
    out.flush();
  };
  process.once('exit', write);
  return {
    write(line) {
      out.write(line);
      if (isDue) return;
      isDue = true;
      setTimeout(write, WAIT_MS);
    },
    flush: (done) => out.flush(done),
    // Not its own, which tries for ever to write what nobody reads.
    flushSync: write,
  };
}
