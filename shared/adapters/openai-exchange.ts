/** One HTTP exchange with a chat completions endpoint: what the answer holds, or what its failure means. */
import { z } from 'zod';
import { retryAfterMs } from './backoff.ts';
import { BodyTooLarge } from './capped-fetch.ts';
import { CallFailure, type Verdict } from './call-failure.ts';

export interface Exchange {
  readonly content: string;
  /** Set when the body cannot be used at all; `content` is then empty or a part of an answer. */
  readonly problem?: string;
  /** Absent when the endpoint did not report a usable count. */
  readonly tokens?: { readonly inputTokens: number; readonly outputTokens: number };
  readonly model: string;
  /** The answer says of itself that it comes from the offline model. */
  readonly offline: boolean;
}

/** The endpoint failed or refused. `unbilled`: it is certain that nothing was charged. */
export class EndpointFailure extends CallFailure {
  readonly unbilled: boolean;

  constructor(verdict: Verdict, unbilled: boolean, message: string, cause?: unknown) {
    super(verdict, message, { cause });
    this.name = 'EndpointFailure';
    this.unbilled = unbilled;
  }
}

/** More tokens than any context window holds: a count beyond it is a broken report, not a bill. */
const TOKENS_MAX = 100_000_000;

const Tokens = z.int().min(0).max(TOKENS_MAX);

const Completion = z.object({
  model: z.string().max(256).catch('unknown'),
  system_fingerprint: z.string().nullish().catch(null),
  choices: z
    .array(
      z.object({
        message: z.object({ content: z.string().nullish(), refusal: z.string().nullish() }),
        finish_reason: z.string().nullish(),
      }),
    )
    .min(1),
  usage: z.object({ prompt_tokens: Tokens, completion_tokens: Tokens }).optional().catch(undefined),
});

/** The body of a 200 as an exchange; a body of another form is one with a `problem`, never a throw. */
export function readExchange(body: unknown, response: Response): Exchange {
  const labelled = response.headers.get('x-conclave-offline') === 'true';
  const parsed = Completion.safeParse(body);
  if (!parsed.success) {
    const problem =
      'the HTTP body is not a chat completion (is OPENAI_BASE_URL the address of an OpenAI-compatible endpoint?)';
    return { content: '', problem, model: 'unknown', offline: labelled };
  }
  const { model, usage, system_fingerprint: fingerprint, choices } = parsed.data;
  const message = choices[0]?.message;
  const content = message?.content ?? '';
  return {
    content,
    ...problemOf(content, message?.refusal ?? undefined, choices[0]?.finish_reason ?? undefined),
    ...(usage === undefined
      ? {}
      : { tokens: { inputTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens } }),
    model,
    offline: labelled || fingerprint === 'offline',
  };
}

function problemOf(content: string, refusal: string | undefined, finish: string | undefined): { problem?: string } {
  if (finish === 'length') return { problem: 'it was cut off at the limit of output tokens: answer more briefly' };
  if (content !== '') return {};
  return { problem: refusal === undefined ? 'it is empty' : `the model declined to answer: ${refusal}` };
}

/** An answer that arrived but cannot be read, or undefined when the error is of another kind. */
export function unreadable(error: unknown, model: string): Exchange | undefined {
  const problem = unreadableProblem(error);
  return problem === undefined ? undefined : { content: '', problem, model, offline: false };
}

function unreadableProblem(error: unknown): string | undefined {
  if (error instanceof BodyTooLarge) return `it is longer than ${error.bytesMax} bytes: answer more briefly`;
  return error instanceof SyntaxError ? 'the HTTP body is not JSON' : undefined;
}

/** Codes of a connection that was never made, so that no request can have been billed. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_HAS_EXPIRED',
]);

/** Answers that mean "not now" rather than "not this". */
const TRY_AGAIN = new Set([408, 409, 425, 429]);
/** Somebody in between gave up waiting; the model may have worked, and charged, all the same. */
const GAVE_UP_WAITING = new Set([408, 504]);

export interface EndpointContext {
  /** Origin of the endpoint, for messages. */
  readonly where: string;
  readonly model: string;
  /** Removed from every message. */
  readonly apiKey: string;
  readonly nowMs: number;
}

/** The client library's error -> what it means: retry (after how long) or refuse, billed or not, and words to act on. */
export function endpointFailure(error: unknown, context: EndpointContext): EndpointFailure {
  const shape = HttpError.safeParse(error);
  if (!shape.success || shape.data.status === undefined) {
    const code = codeOf(error);
    const message = redacted(
      `${context.where} ${context.model}: no answer (${code ?? words(error)}); is the endpoint running and OPENAI_BASE_URL right?`,
      context,
    );
    return new EndpointFailure({ kind: 'retry' }, code !== undefined && NEVER_SENT.has(code), message, error);
  }
  const { status, code, headers } = shape.data;
  const message = redacted(
    `${context.where} ${context.model}: HTTP ${words(error)}${adviceFor(status, code)}`,
    context,
  );
  // A used-up quota answers 429 like a rate limit, but no waiting helps.
  const again = (TRY_AGAIN.has(status) || status >= 500) && code !== 'insufficient_quota';
  const afterMs = retryAfterMs(headers?.get('retry-after'), context.nowMs);
  const verdict: Verdict = again
    ? { kind: 'retry', ...(afterMs === undefined ? {} : { afterMs }) }
    : { kind: 'refuse' };
  return new EndpointFailure(verdict, !GAVE_UP_WAITING.has(status), message, error);
}

const HttpError = z.object({
  status: z.int().optional(),
  code: z.string().nullish().catch(null),
  headers: z.instanceof(Headers).optional().catch(undefined),
});

function adviceFor(status: number, code: string | null | undefined): string {
  if (status === 401 || status === 403) return ' (check OPENAI_API_KEY)';
  if (status === 404) return ' (check OPENAI_MODEL and OPENAI_BASE_URL)';
  if (code === 'insufficient_quota') return ' (the account has no quota left)';
  return '';
}

/** The first error code along the chain of causes. */
function codeOf(error: unknown): string | undefined {
  let link: unknown = error;
  for (let depth = 0; depth < 8 && link instanceof Error; depth += 1) {
    if ('code' in link && typeof link.code === 'string') return link.code;
    link = link.cause;
  }
  return undefined;
}

const WORDS_MAX = 500;

function words(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, WORDS_MAX);
}

/** Endpoints like to quote the key they reject; error messages end up in logs and records. */
function redacted(text: string, { apiKey }: EndpointContext): string {
  return apiKey.length < 8 ? text : text.replaceAll(apiKey, '[api key]');
}
