/** The floor's subjects: one file stream, one subject per stage, `raw.<stage>.<goal>.<parts>`; the payload is 200 bytes and means nothing. */
export const RAW_STREAM = 'RAW';
/** Five answer it. */
export const RAW_VOTE = 'rawvote';
/** One answers it. */
export const RAW_REQUEST = 'rawrequest';
export const PAYLOAD = new TextEncoder().encode('x'.repeat(200));

/** Stages that a worker does. `join` is done by one process alone, because it counts in memory. */
export const WORKED = ['one', 'two', 'three', 'root', 'part', 'join'] as const;
export type Stage = (typeof WORKED)[number] | 'done';

/** `parts`: how many parts the goal has; 0 for a chain. */
export function rawSubject(stage: Stage, goal: string, parts: string | number): string {
  return `raw.${stage}.${goal}.${parts}`;
}

/** @throws Error for a subject that is none of the floor's. */
export function goalOf(subject: string): { readonly goal: string; readonly parts: string } {
  const [, , goal, parts] = subject.split('.');
  if (goal === undefined || parts === undefined) throw new Error(`expected raw.<stage>.<goal>.<parts>, got ${subject}`);
  return { goal, parts };
}
