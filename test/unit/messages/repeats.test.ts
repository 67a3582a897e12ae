import { describe, expect, it } from 'vitest';
import { REPEATS_MAX, REPEATS_WINDOW_MS } from '../../../shared/protocol/message.ts';
import { repeats, type Said } from '../../../shared/runtime/peers/repeats.ts';

const said = (more: Partial<Said> = {}): Said => ({
  sender: 'ann',
  receiver: 'bob',
  messageType: 'chat',
  content: { words: 'hello' },
  goalId: 'g',
  ...more,
});

/** How often it may be said before it is stopped. */
function times(repeated: ReturnType<typeof repeats>, message: Said, now = 0): number {
  for (let count = 0; ; count += 1) if (count > 1_000 || repeated(message, now) !== undefined) return count;
}

describe('what is said again and again', () => {
  it('is stopped when it was said so often, and the reason names who said it to whom', () => {
    const repeated = repeats();
    expect(times(repeated, said())).toBe(REPEATS_MAX);
    expect(repeated(said(), 1)).toMatchObject({
      code: 'repeated_content',
      message: expect.stringContaining('ann -> bob -> ann'),
    });
  });

  it('is another thing with another sender, receiver, type, content or goal', () => {
    const repeated = repeats();
    times(repeated, said());
    for (const other of [
      said({ sender: 'cid' }),
      said({ receiver: 'cid' }),
      said({ messageType: 'ask' }),
      said({ content: { words: 'hello ' } }),
      said({ goalId: 'h' }),
    ])
      expect(times(repeated, other)).toBe(REPEATS_MAX);
  });

  it('is no matter where it belongs to no goal', () => {
    const { goalId: _goal, ...goalless } = said();
    expect(times(repeats(), goalless)).toBeGreaterThan(1_000);
  });

  it('may be said again when the window is over', () => {
    const repeated = repeats();
    times(repeated, said());
    expect(repeated(said(), REPEATS_WINDOW_MS)).toBeDefined();
    expect(repeated(said(), REPEATS_WINDOW_MS + 1)).toBeUndefined();
  });

  it('is forgotten only where others were heard more recently, in one goal and among goals', () => {
    const repeated = repeats();
    times(repeated, said());
    times(repeated, said({ content: 'other' }));
    for (let n = 0; n < 199; n += 1) repeated(said({ content: n }), 0);
    expect(repeated(said(), 0)).toBeUndefined();
    const goals = repeats();
    times(goals, said());
    for (let n = 0; n < 499; n += 1) goals(said({ goalId: `g${n}` }), 0);
    expect(goals(said(), 0)).toBeDefined();
    for (let n = 0; n < 500; n += 1) goals(said({ goalId: `h${n}` }), 0);
    expect(goals(said(), 0)).toBeUndefined();
  });
});
