/** Work that is handed on in circles: known by what agents said, long before the hops run out (I10). Pure; messages are watched in `runtime/peers/repeats.ts`. */
import type { ErrorInfo } from '../protocol/goal.ts';
import type { Step } from '../protocol/peer.ts';

/** So often the same may be handed on from one capability to another; a reviewer that sends work back again says something new. */
export const SAME_HANDED_ON_MAX = 3;

/** A piece of work on a goal, and how it went on; of parts no step. */
export interface Handing {
  readonly capability: string;
  readonly step?: Step | undefined;
}

/** Why the goal must not go on as the last of these says; undefined when it may. `trail`: everything that was done, in order. */
export function delegationCycle(trail: readonly Handing[]): ErrorInfo | undefined {
  const last = trail.at(-1);
  const said = last === undefined ? undefined : wordsOf(last);
  if (last?.step === undefined || last.step.kind === 'answer' || said === undefined) return undefined;
  const times = trail.filter((each) => wordsOf(each) === said).length;
  if (times <= SAME_HANDED_ON_MAX) return undefined;
  return {
    code: 'delegation_cycle',
    message: `${last.capability} has handed the same on to ${last.step.capability} ${times} times: ${wayOf(trail)} -> ${last.step.capability}; narrow the goal, or take one of them out`,
  };
}

export function wayOf(trail: readonly Handing[]): string {
  return trail.map(({ capability }) => capability).join(' -> ');
}

/** Who says what to whom; spaces and letter case make no difference. */
function wordsOf({ capability, step }: Handing): string | undefined {
  if (step === undefined || step.kind === 'answer') return undefined;
  const plain = (note: string): string => note.replaceAll(/\s+/g, ' ').trim().toLowerCase();
  const parts = step.kind === 'split' ? step.parts.map((part) => [part.capability, plain(part.note)]) : [];
  return JSON.stringify([capability, step.capability, plain(step.note), ...parts]);
}
