/** What the offline model answers: one function per known schema name, anything else made up from the schema and the text. */
import { answerBallot, answerReport } from './ballot.ts';
import { answerBrief, answerFacts } from './brief.ts';
import { BadInput, carriedBy, type Carried, isObject, type Message, optionalText } from './carried.ts';
import { selectSentences } from './extract.ts';
import { answerNext, answerSpoken } from './peer.ts';
import { answerPlan } from './plan.ts';
import { fitted, instanceOf, type Source, sourceOf } from './schema.ts';
import { collapsed } from './text.ts';

export interface Question {
  readonly messages: readonly Message[];
  readonly format: Format;
}

export type Format =
  | { readonly kind: 'text' }
  | { readonly kind: 'json' }
  | { readonly kind: 'schema'; readonly name: string; readonly schema: unknown };

/** The names with an answer of their own; also the values of the metrics' label. */
export const KNOWN_SCHEMAS = ['plan', 'facts', 'brief', 'ballot', 'report', 'next', 'spoken'] as const;

/** The answer's text. Throws BadInput when the request does not carry what its schema name needs. */
export function answerText({ messages, format }: Question): string {
  const carried = carriedBy(messages);
  switch (format.kind) {
    case 'text':
      return extractsOf(carried).join(' ') || 'There is no text to answer from.';
    case 'json':
      return JSON.stringify({ answer: extractsOf(carried) });
    case 'schema': {
      const source = sourceOf(extractsOf(carried));
      return JSON.stringify(structured(format.name, format.schema, carried, source));
    }
  }
}

function structured(name: string, schema: unknown, carried: Carried, source: Source): unknown {
  const answer = known(name, schema, carried);
  if (answer !== undefined) return schema === undefined ? answer : fitted(answer, schema, source);
  if (schema === undefined)
    throw new BadInput(
      `response_format.json_schema.schema: expected a JSON Schema, because "${name}" is none of ${KNOWN_SCHEMAS.join(', ')}`,
    );
  return instanceOf(schema, source);
}

function known(name: string, schema: unknown, carried: Carried): unknown {
  switch (name) {
    case 'plan':
      return answerPlan(carried, capabilitiesOf(schema));
    case 'facts':
      return answerFacts(carried);
    case 'brief':
      return answerBrief(carried);
    case 'ballot':
      return answerBallot(carried);
    case 'report':
      return answerReport(carried);
    case 'next':
      return answerNext(carried);
    case 'spoken':
      return answerSpoken(carried);
    default:
      return undefined;
  }
}

function extractsOf({ fields, userText }: Carried): string[] {
  const text = optionalText(fields, 'text', 'content', 'description') ?? userText;
  return selectSentences(text, optionalText(fields, 'description') ?? '').map((sentence) => collapsed(sentence.text));
}

/** The values a schema allows for a property called `capability`, wherever it stands. */
function capabilitiesOf(schema: unknown): readonly string[] {
  if (Array.isArray(schema)) return schema.flatMap(capabilitiesOf);
  if (!isObject(schema)) return [];
  const own = isObject(schema['capability']) ? schema['capability']['enum'] : undefined;
  if (Array.isArray(own)) return own.filter((name) => typeof name === 'string');
  return Object.values(schema).flatMap(capabilitiesOf);
}
