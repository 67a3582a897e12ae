/** `next` and `spoken`: what an agent does after its part of a goal that nobody planned, and what it answers to a peer. */
import { type Carried, optionalText, requiredText } from './carried.ts';
import { selectSentences } from './extract.ts';
import { collapsed } from './text.ts';

export interface Next {
  readonly step: 'answer' | 'hand_on';
  readonly capability: string | null;
  readonly note: string | null;
  readonly parts: null;
}

/** Who goes on with what: facts are there for something to be made of them. Whatever else was made is the answer. */
const SUCCESSORS: Readonly<Record<string, { readonly capability: string; readonly note: string }>> = {
  research: { capability: 'code', note: 'Write what the goal asks for out of these facts.' },
};

/** Input: `{ capability, capabilities?: string[], hopsLeft?: number }`. */
export function answerNext({ fields }: Carried): Next {
  const own = requiredText(fields, 'next', 'capability');
  const present: readonly unknown[] = Array.isArray(fields['capabilities']) ? fields['capabilities'] : [];
  const successor = Object.hasOwn(SUCCESSORS, own) ? SUCCESSORS[own] : undefined;
  const may = fields['hopsLeft'] === undefined || Number(fields['hopsLeft']) > 0;
  return successor !== undefined && may && present.includes(successor.capability)
    ? { step: 'hand_on', ...successor, parts: null }
    : { step: 'answer', capability: null, note: null, parts: null };
}

const SENTENCES_MAX = 3;

/** Input: `{ question, text }`. The sentences of the text that the question has most to do with. */
export function answerSpoken({ fields }: Carried): { answer: string } {
  const question = requiredText(fields, 'spoken', 'question');
  const text = optionalText(fields, 'text') ?? question;
  const said = selectSentences(text, question)
    .slice(0, SENTENCES_MAX)
    .map((sentence) => collapsed(sentence.text));
  return { answer: said.join(' ') || 'The text does not tell.' };
}
