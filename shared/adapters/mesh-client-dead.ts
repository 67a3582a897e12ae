/** Dead letters: reading them, and putting one back where it came from. */
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { decode, encode } from '../protocol/codec.ts';
import { DeadLetter, LETTER_PAYLOAD_MAX } from '../protocol/dead.ts';
import { isTerminalGoal } from '../protocol/goal.ts';
import { isId } from '../protocol/ids.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { isTerminalTask } from '../protocol/task.ts';
import { submissionAgain } from './mesh-client-again.ts';
import { REQUEST_TIMEOUT_MS, readMessage, scanStream } from './mesh-client-read.ts';
import { recordReader } from './mesh-client-records.ts';
import { publishOnce } from './mesh-client-submit.ts';

export interface StoredLetter {
  /** Sequence in `<m>_dead`: the letter's name for `redrive`. */
  readonly sequence: number;
  readonly letter: DeadLetter;
}

export type Redriven =
  /** `goalId`: the letter is about a task that failed, and its goal runs again under this id. */
  | { readonly done: true; readonly subject: string; readonly goalId?: string }
  /** The letter is kept; `why` says what was expected and what to do instead. */
  | { readonly done: false; readonly why: string };

export function deadLetters(nc: NatsConnection, subjects: Subjects) {
  const js = jetstream(nc, { timeout: REQUEST_TIMEOUT_MS });
  const records = recordReader(nc, subjects);

  /** Why a republished letter would change nothing; undefined when it would be worked on. */
  async function futility({ letter }: StoredLetter, payload: Uint8Array): Promise<string | undefined> {
    if (letter.origin === 'ready') {
      const { goalId, taskId } = letter;
      if (!isId(goalId) || !isId(taskId)) return undefined;
      const task = await records.task(goalId, taskId);
      if (task === undefined || !isTerminalTask(task)) return undefined;
      return `task ${taskId} of goal ${goalId} is ${task.status}, and a terminal record never changes: submit the goal again under another goalId`;
    }
    const named = decode(z.object({ goalId: z.string() }), payload);
    if (!named.ok || !isId(named.value.goalId)) return undefined;
    const goal = await records.goal(named.value.goalId);
    if (goal === undefined || (letter.origin === 'cancel' && !isTerminalGoal(goal.record))) return undefined;
    return `goal ${named.value.goalId} is already ${goal.record.status}, so the same goalId would be ignored: submit it again under another one`;
  }

  /** A task that failed for good: its goal is submitted again, under an id that follows from its own. */
  async function rerun({ goalId = '', taskId = '' }: DeadLetter, messageId: string): Promise<Redriven> {
    const goal = (await records.goal(goalId))?.record;
    if (goal === undefined) return { done: false, why: `there is no goal ${goalId} any more` };
    if (!isTerminalGoal(goal)) {
      const why = `goal ${goalId} goes on without task ${taskId}; when it is over it can run again as a whole`;
      return { done: false, why };
    }
    const again = submissionAgain(goal, await records.tasks(goalId));
    if (!again.ok) return { done: false, why: again.why };
    // Another letter of the same goal was first.
    const body = (await records.goal(again.goalId)) === undefined ? encode(again.submission) : undefined;
    const limit = nc.info?.max_payload ?? Number.POSITIVE_INFINITY;
    if (body !== undefined && body.length > limit)
      return {
        done: false,
        why: `goal ${goalId} as one message is ${body.length} bytes, and this broker takes ${limit}`,
      };
    if (body !== undefined) await publishOnce(js, subjects.goalsSubmit, body, messageId);
    return { done: true, subject: subjects.goalsSubmit, goalId: again.goalId };
  }

  async function remove(sequence: number): Promise<void> {
    const manager = await js.jetstreamManager(false);
    await manager.streams.deleteMessage(subjects.deadStream, sequence, false);
  }

  return {
    /** All letters, oldest first; one that does not fit the protocol is told as its sequence and what is wrong. */
    async *list(): AsyncGenerator<
      StoredLetter | { readonly sequence: number; readonly unreadable: string },
      void,
      undefined
    > {
      for await (const message of scanStream(nc, subjects.deadStream, [subjects.deadWildcard], { kind: 'start' })) {
        const decoded = decode(DeadLetter, message.data);
        const { sequence } = message;
        yield decoded.ok ? { sequence, letter: decoded.value } : { sequence, unreadable: decoded.message };
      }
    },

    /** One letter by its sequence; undefined when there is none. */
    async find(sequence: number): Promise<StoredLetter | undefined> {
      const message = await readMessage(nc, subjects.deadStream, { seq: sequence });
      const decoded = message === undefined ? undefined : decode(DeadLetter, message.data);
      return decoded?.ok === true ? { sequence, letter: decoded.value } : undefined;
    },

    /**
     * Publishes the letter's payload on its own subject again, or the goal of a task that failed, and deletes the letter. The message id is the letter's sequence: a
     * redrive that died between the two steps, or two at once, put it back once (within the stream's duplicate window).
     */
    async redrive(stored: StoredLetter): Promise<Redriven> {
      const { letter, sequence } = stored;
      const messageId = `${subjects.deadStream}-${sequence}`;
      if (isOfTask(subjects, letter)) {
        const outcome = await rerun(letter, messageId);
        if (outcome.done) await remove(sequence);
        return outcome;
      }
      const wrong = misdirected(subjects, letter);
      if (wrong !== undefined) return { done: false, why: wrong };
      if (letter.payload.length >= LETTER_PAYLOAD_MAX)
        return { done: false, why: 'it was too large to be kept whole: whoever sent it must send it again' };
      const payload = Buffer.from(letter.payload, 'base64');
      const why = await futility(stored, payload);
      if (why !== undefined) return { done: false, why };
      await publishOnce(js, letter.subject, payload, messageId);
      await remove(sequence);
      return { done: true, subject: letter.subject };
    },
  };
}

/** Of a task that failed for good, as against a refused shorthand. */
function isOfTask(subjects: Subjects, { origin, subject, goalId, taskId }: DeadLetter): boolean {
  const ofItem = subject.startsWith(subjects.readyWildcard.slice(0, -1));
  return origin === 'tasks' && ofItem && isId(goalId) && isId(taskId);
}

/**
 * A letter is written by agents, and whoever redrives it has more rights than they: it goes only to the subjects that its origin can
 * have come from, never to wherever it says.
 */
function misdirected(subjects: Subjects, letter: DeadLetter): string | undefined {
  const { origin, subject } = letter;
  switch (origin) {
    case 'goals':
      return subject === subjects.goalsSubmit ? undefined : expected(subjects.goalsSubmit, subject);
    case 'cancel':
      return subject === subjects.goalsCancel ? undefined : expected(subjects.goalsCancel, subject);
    case 'tasks':
      return isId(subjects.capabilityOfShorthand(subject)) ? undefined : expected(subjects.tasksWildcard, subject);
    case 'ready': {
      const tokens = subject.split('.');
      const [capability, goalId, taskId] = tokens.slice(-3);
      const ours =
        isId(capability) &&
        isId(goalId) &&
        isId(taskId) &&
        subject === subjects.readySubject(capability, goalId, taskId);
      return ours ? undefined : expected(subjects.readyWildcard, subject);
    }
    case 'message':
    case 'vote':
      return `a ${origin} is a conversation between agents: only its sender may say it again`;
  }
}

function expected(wanted: string, got: string): string {
  return `its subject should be ${wanted} and is ${JSON.stringify(got.slice(0, 200))}: a forged letter, or one of another mesh`;
}
