/** The chat completions contract: request in, response body out. */
import { z } from 'zod';
import type { CountTokens } from '../../shared/adapters/openai-tokens.ts';
import { BadInput, type Message } from './carried.ts';
import type { Format } from './handler.ts';

export const MODEL_NAME = 'conclave-offline-1';
const FINGERPRINT = 'offline';

const TextPart = z.object({ type: z.literal('text'), text: z.string() });

const ChatMessage = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z
    .union([z.string(), z.array(TextPart).transform((parts) => parts.map((part) => part.text).join('\n'))])
    .nullish(),
});

const OutputLimit = z.int().min(1).nullish();

const ResponseFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    json_schema: z.object({
      name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/),
      schema: z.record(z.string(), z.unknown()).optional(),
    }),
  }),
]);

const ChatRequest = z.object({
  model: z.string().min(1),
  messages: z.array(ChatMessage).min(1),
  stream: z
    .literal(false, { error: 'streaming is not supported offline: leave "stream" out or set it to false' })
    .nullish(),
  n: z.literal(1, { error: 'exactly one choice is supported offline' }).nullish(),
  max_tokens: OutputLimit,
  max_completion_tokens: OutputLimit,
  response_format: ResponseFormat.nullish(),
});

export interface Chat {
  readonly messages: readonly Message[];
  readonly format: Format;
  /** Tokens that the answer may have. */
  readonly outputMax: number;
}

/** Throws BadInput that names the first field that is wrong. */
export function readChat(body: unknown): Chat {
  const parsed = ChatRequest.safeParse(body);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new BadInput(
      `${issue?.path.map(String).join('.') || 'the body'}: ${issue?.message ?? 'not a chat completion request'}`,
    );
  }
  const { messages, response_format: format, max_tokens: older, max_completion_tokens: newer } = parsed.data;
  return {
    messages: messages.map(({ role, content }) => ({ role, content: content ?? '' })),
    format: formatOf(format),
    outputMax: newer ?? older ?? Number.MAX_SAFE_INTEGER,
  };
}

function formatOf(format: z.infer<typeof ResponseFormat> | null | undefined): Format {
  switch (format?.type) {
    case 'json_object':
      return { kind: 'json' };
    case 'json_schema':
      return { kind: 'schema', name: format.json_schema.name, schema: format.json_schema.schema };
    case 'text':
    case undefined:
      return { kind: 'text' };
  }
}

/** Tokens that the chat format adds per message, and once. */
const PER_MESSAGE = 3;
const PER_CHAT = 3;

export function promptTokens({ messages, format }: Chat, count: CountTokens): number {
  const schema = format.kind === 'schema' ? count(JSON.stringify(format.schema ?? {})) : 0;
  return messages.reduce((sum, message) => sum + count(message.content) + PER_MESSAGE, PER_CHAT + schema);
}

/** The longest beginning of `content` with at most `tokensMax` tokens. */
export function cutTo(content: string, tokensMax: number, count: CountTokens): string {
  if (count(content) <= tokensMax) return content;
  let fits = 0;
  let over = content.length;
  while (over - fits > 1) {
    const middle = Math.floor((fits + over) / 2);
    if (count(content.slice(0, middle)) <= tokensMax) fits = middle;
    else over = middle;
  }
  return content.slice(0, fits);
}

export interface Completion {
  readonly id: string;
  readonly createdAtMs: number;
  readonly content: string;
  readonly cut: boolean;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

export function completionBody({ id, createdAtMs, content, cut, inputTokens, outputTokens }: Completion): object {
  return {
    id,
    object: 'chat.completion',
    created: Math.floor(createdAtMs / 1000),
    model: MODEL_NAME,
    system_fingerprint: FINGERPRINT,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content, refusal: null },
        logprobs: null,
        finish_reason: cut ? 'length' : 'stop',
      },
    ],
    usage: { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens },
  };
}

/** The error form of the API. */
export function errorBody(message: string, type: string, code: string | null = null): object {
  return { error: { message, type, param: null, code } };
}
