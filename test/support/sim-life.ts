/**
 * What stands between a process of the simulation and its world: everything that it does, and everything that reaches it, passes here. So it can be
 * killed before, within and after any of its acts, and frozen while the world goes on.
 */

/** `during`: of a transition of several writes only some are stored. */
export type DeathMoment = 'before' | 'during' | 'after';

export interface Death {
  /** The how-manieth act is the last, from 1. */
  readonly act: number;
  readonly moment: DeathMoment;
}

export class Life {
  dead = false;
  /** What it died of, such as `during commit`. */
  diedAt: string | undefined;
  acts = 0;
  readonly #death: Death | undefined;
  readonly #onDeath: () => void;
  /** Runs something in an event of its own. */
  readonly #soon: (run: () => void) => void;
  #frozen = false;
  #heldBack: (() => void)[] = [];

  constructor(death: Death | undefined, onDeath: () => void, soon: (run: () => void) => void) {
    this.#death = death;
    this.#onDeath = onDeath;
    this.#soon = soon;
  }

  /**
   * An act on the world: a write, an acknowledgement, a message. `run` is told whether it is cut off in the middle, which an act that cannot be
   * half done takes for done. Undefined when the process is dead, or died of it.
   */
  act<T>(name: string, run: (cut: boolean) => T): T | undefined {
    if (this.dead) return undefined;
    this.acts += 1;
    if (this.#death === undefined || this.acts !== this.#death.act) return run(false);
    const { moment } = this.#death;
    if (moment !== 'before') run(moment === 'during');
    this.die(`${moment} ${name}`);
    return undefined;
  }

  die(of: string): void {
    if (this.dead) return;
    this.dead = true;
    this.diedAt = of;
    this.#heldBack = [];
    this.#onDeath();
  }

  /** Something reaches the process: a delivery, an answer, a timer. A frozen process hears it when it thaws, a dead one never. */
  hear(run: () => void): void {
    if (this.dead) return;
    if (this.#frozen) this.#heldBack.push(run);
    else run();
  }

  /** The answer to a question, as `hear` lets it through. */
  answer<T>(question: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      question.then(
        (value) => this.hear(() => resolve(value)),
        (error: unknown) => this.hear(() => reject(error instanceof Error ? error : new Error(String(error)))),
      );
    });
  }

  freeze(): void {
    this.#frozen = true;
  }

  /** It does not know that time has passed: what it missed comes in order, and then it goes on as before. */
  thaw(): void {
    this.#frozen = false;
    const missed = this.#heldBack;
    this.#heldBack = [];
    for (const run of missed) this.#soon(() => this.hear(run));
  }
}
