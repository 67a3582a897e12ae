/** The data that a conversation carries: the JSON object in a user's message, checked field by field. */

export interface Message {
  readonly role: string;
  readonly content: string;
}

export interface Carried {
  /** The object of the first user message that holds one. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** All user messages as plain text. */
  readonly userText: string;
  /** All messages as plain text. */
  readonly allText: string;
}

/** What is wrong with the request, in words for its sender. Becomes HTTP 400. */
export class BadInput extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BadInput';
  }
}

/** The first user message with an object wins: later ones are repairs, which quote schemas and answers. */
export function carriedBy(messages: readonly Message[]): Carried {
  const user = messages.filter((message) => message.role === 'user').map((message) => message.content);
  const fields = user.map(objectIn).find((found) => found !== undefined) ?? {};
  return { fields, userText: user.join('\n\n'), allText: messages.map((message) => message.content).join('\n\n') };
}

function objectIn(content: string): Record<string, unknown> | undefined {
  const from = content.indexOf('{');
  const to = content.lastIndexOf('}');
  if (from < 0 || to < from) return undefined;
  try {
    const value: unknown = JSON.parse(content.slice(from, to + 1));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The first of `names` that is a string with something in it. */
export function optionalText(fields: Readonly<Record<string, unknown>>, ...names: string[]): string | undefined {
  return names
    .map((name) => fields[name])
    .find((value): value is string => typeof value === 'string' && value.trim() !== '');
}

export function requiredText(fields: Readonly<Record<string, unknown>>, schemaName: string, name: string): string {
  const text = optionalText(fields, name);
  if (text === undefined)
    throw new BadInput(
      `"${schemaName}" expects a user message with a JSON object whose "${name}" is a string with text in it`,
    );
  return text;
}

/** `label` names the list in the error; `name` is its key. */
export function requiredList(
  fields: Readonly<Record<string, unknown>>,
  schemaName: string,
  label: string,
  name: string = label,
): readonly unknown[] {
  const list = fields[name];
  if (Array.isArray(list)) return list;
  throw new BadInput(`"${schemaName}" expects a user message with a JSON object whose "${label}" is an array`);
}

export interface Claim {
  readonly text: string;
  readonly quote: string | undefined;
}

/** A fact or statement in any of the forms it travels in: a string, `{ text, quote }`, `{ statement, quote }`. */
function claimOf(value: unknown): Claim | undefined {
  if (typeof value === 'string') return value.trim() === '' ? undefined : { text: value, quote: undefined };
  if (!isObject(value)) return undefined;
  const text = optionalText(value, 'text', 'statement');
  return text === undefined ? undefined : { text, quote: optionalText(value, 'quote') };
}

/** More claims than any brief has; some checks compare each with each. */
const CLAIMS_MAX = 500;

export function claimsOf(values: readonly unknown[]): Claim[] {
  return values
    .slice(0, CLAIMS_MAX)
    .map(claimOf)
    .filter((claim) => claim !== undefined);
}
