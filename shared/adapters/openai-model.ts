/**
 * The Model port on an OpenAI-compatible chat completions endpoint.
 *
 * One `complete` makes at most two questions (the second is the one repair), each at most `retry.maxAttempts` HTTP calls, and
 * each HTTP call reserves its worst case first and settles exactly once afterwards (I4). The client library and the tokenizer are
 * loaded by the first call: an agent that never asks a model does not pay for them.
 */
import type OpenAI from 'openai';
import { addUsd, computeCost, toUsd } from '../core/cost.ts';
import { priceOf } from '../core/prices.ts';
import type { Model, ModelAnswer, ModelRequest, ModelUsage } from '../ports.ts';
import type { PriceTable } from '../protocol/prices.ts';
import { cappedFetch } from './capped-fetch.ts';
import { EndpointFailure, endpointFailure, type Exchange, readExchange, unreadable } from './openai-exchange.ts';
import { parseAnswer, type ResponseFormat, responseFormat } from './openai-schema.ts';
import { type CountTokens, tokenCounter } from './openai-tokens.ts';
import { charged, type Evidence, promptBound, type UsageDoubt } from './openai-usage.ts';
import { PolicyError } from './call-failure.ts';
import type { Resilience } from './resilience.ts';

export interface OpenAiModelOptions {
  /** Up to and including the version, e.g. `http://127.0.0.1:8080/v1`. */
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly model: string;
  readonly prices: PriceTable;
  /** Timeout, retry, breaker and bulkhead, shared by all calls to this endpoint. */
  readonly policy: Resilience;
  /** A larger HTTP body is not read further and counts as an answer that does not fit. Default 1 MiB. */
  readonly answerBytesMax?: number;
  /** Which parameter bounds the output. Older compatible servers know only `max_tokens`. Default `max_completion_tokens`. */
  readonly outputLimit?: OutputLimit;
  /** The endpoint's count of a call was not believed. */
  readonly onDoubt?: (doubt: UsageDoubt, detail: string) => void;
}

export type OutputLimit = 'max_completion_tokens' | 'max_tokens';

type Message = OpenAI.Chat.ChatCompletionMessageParam;
type Failure = Extract<ModelAnswer<never>, { ok: false }>;
/** What a failure says besides what it cost. */
type Cause = Omit<Failure, 'ok' | 'usage' | 'calls'>;

const ANSWER_BYTES_MAX = 1024 * 1024;
/** Of a misfit answer, what is sent back for the repair, in UTF-16 units. */
const REPAIR_ECHO_MAX = 8192;
/** How long after its timeout a call may take to be settled. */
const SETTLED_MS = 10_000;
/** Tokens that chat formats add around a message; generous, because the reservation must not fall short (I4). */
const MESSAGE_OVERHEAD = 8;

/** Throws an Error when the price table has no price for the model: without one no budget can hold. */
export function openAiModel(options: OpenAiModelOptions): Model {
  const lookup = priceOf(options.prices, options.model);
  if (!lookup.ok) throw new Error(lookup.message);
  const { price } = lookup;
  const where = new URL(options.baseUrl).origin;
  const outputLimit = options.outputLimit ?? 'max_completion_tokens';
  let loading: Promise<{ client: OpenAI; count: CountTokens }> | undefined;
  const bound = promptBound(options.model);

  async function load(): Promise<{ client: OpenAI; count: CountTokens }> {
    const [{ default: Client }, count] = await Promise.all([import('openai'), tokenCounter()]);
    return { client: makeClient(Client, options), count };
  }

  async function complete<T>(request: ModelRequest<T>): Promise<ModelAnswer<T>> {
    loading ??= load();
    const { client, count } = await loading;
    const format = responseFormat(request.name, request.schema);
    const settled: ModelUsage[] = [];
    const spent = () => ({ usage: total(settled), calls: settled.length });
    let messages: Message[] = [
      { role: 'system', content: request.system },
      { role: 'user', content: request.user },
    ];
    for (let repaired = false; ; repaired = true) {
      const reply = await ask(client, count, request, messages, format, settled);
      if (!reply.ok) return { ok: false, ...reply.cause, ...spent() };
      const { content, problem, offline, model } = reply.exchange;
      const parsed = problem === undefined ? parseAnswer(content, request.schema) : { ok: false as const, problem };
      if (parsed.ok) return { ok: true, value: parsed.value, model, repaired, offline, ...spent() };
      if (repaired)
        return {
          ok: false,
          reason: 'invalid_output',
          message: `${where} ${options.model}: also after one repair, ${parsed.problem}`,
          ...spent(),
        };
      messages = [...messages, ...repairOf(content, parsed.problem)];
    }
  }

  /** One question, retried by the policy. */
  async function ask<T>(
    client: OpenAI,
    count: CountTokens,
    request: ModelRequest<T>,
    messages: Message[],
    format: ResponseFormat,
    settled: ModelUsage[],
  ): Promise<{ ok: true; exchange: Exchange } | { ok: false; cause: Cause }> {
    const texts = textsOf(messages, format);
    const counted = texts.reduce((sum, text) => sum + count(text) + MESSAGE_OVERHEAD, 0);
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text) + MESSAGE_OVERHEAD, 0);
    const priced = (tokens: { inputTokens: number; outputTokens: number }): ModelUsage => ({
      ...tokens,
      usd: toUsd(computeCost(price, tokens)),
    });
    let sent = false;

    async function exchange(signal: AbortSignal): Promise<Exchange> {
      const body = { model: options.model, messages, response_format: format, [outputLimit]: request.maxOutputTokens };
      sent = true;
      try {
        const { data, response } = await client.chat.completions
          .create(body, { signal, headers: { ...request.headers } })
          .withResponse();
        return readExchange(data, response);
      } catch (error) {
        const answer = unreadable(error, options.model);
        if (answer !== undefined) return answer;
        throw endpointFailure(error, { where, model: options.model, apiKey: options.apiKey, nowMs: Date.now() });
      }
    }

    /** I4: no HTTP call without a granted reservation, and every granted reservation settled once, whatever happened. */
    async function paid(call: () => Promise<Exchange>): Promise<Exchange> {
      const most = { inputTokens: bound.of(counted, bytes), outputTokens: request.maxOutputTokens };
      const worst = priced(most);
      const withinMs = options.policy.timeoutMs + SETTLED_MS;
      const reservation = await request.budget.reserve({ ...worst, withinMs });
      if (!reservation.granted) throw new BudgetRefused(reservation.limit, reservation.message);
      sent = false;
      const settle = async (usage: ModelUsage) => {
        if (sent) settled.push(usage);
        await reservation.settle(usage);
      };
      let answer: Exchange;
      try {
        answer = await call();
      } catch (error) {
        // Refused or never sent: nothing was billed. A timeout, an abort or a broken connection leaves unknown what the endpoint did
        // and charged, so the whole worst case stays spent: to guess less could overspend.
        const unbilled = !sent || (error instanceof EndpointFailure && error.unbilled);
        await settle(unbilled ? NOTHING : worst);
        throw error;
      }
      const evidence = { prompt: counted, answer: count(answer.content), reserved: worst };
      const { tokens, doubt } = charged(answer.tokens, evidence);
      if (answer.tokens !== undefined && doubt !== 'zero') bound.seen(counted, answer.tokens.inputTokens);
      if (doubt !== undefined) options.onDoubt?.(doubt, doubtful(answer, evidence));
      await settle(priced(tokens));
      return answer;
    }

    try {
      return {
        ok: true,
        exchange: await options.policy.execute(({ signal }) => exchange(signal), {
          signal: request.signal,
          around: paid,
        }),
      };
    } catch (error) {
      const cause = causeOf(error);
      if (cause === undefined) throw error;
      return { ok: false, cause };
    }
  }

  return { name: options.model, complete };
}

const NOTHING: ModelUsage = { inputTokens: 0, outputTokens: 0, usd: 0 };

/** Travels through the policy unchanged: not the endpoint's fault, and no retry can help. */
class BudgetRefused extends Error {
  readonly limit: string;

  constructor(limit: string, message: string) {
    super(message);
    this.name = 'BudgetRefused';
    this.limit = limit;
  }
}

function causeOf(error: unknown): Cause | undefined {
  if (error instanceof BudgetRefused) return { reason: 'budget', message: error.message, limit: error.limit };
  if (error instanceof EndpointFailure) {
    const { verdict, message } = error;
    if (verdict.kind !== 'retry') return { reason: 'refused', message };
    return {
      reason: 'unavailable',
      message,
      ...(verdict.afterMs === undefined ? {} : { retryAfterMs: verdict.afterMs }),
    };
  }
  if (error instanceof PolicyError) {
    if (error.kind === 'aborted') return { reason: 'aborted', message: error.message };
    const { message, retryAfterMs } = error;
    return { reason: 'unavailable', message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  }
  return undefined;
}

/** Everything the library would read from the environment or do by itself is pinned here. */
function makeClient(Client: typeof OpenAI, options: OpenAiModelOptions): OpenAI {
  return new Client({
    baseURL: options.baseUrl,
    apiKey: options.apiKey,
    // The policy owns retries and the timeout; hidden ones inside would call, and bill, unreserved (I4).
    maxRetries: 0,
    timeout: 2 ** 31 - 1,
    fetch: cappedFetch(options.answerBytesMax ?? ANSWER_BYTES_MAX),
    // Configuration comes from the agent's own checked environment, not from variables read behind its back. (One remains that no
    // option turns off: OPENAI_CUSTOM_HEADERS adds headers.)
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    // Its debug log would print whole prompts.
    logLevel: 'off',
  });
}

/** Everything of a question that is billed as input. */
function textsOf(messages: readonly Message[], format: ResponseFormat): readonly string[] {
  const texts = messages.map(({ content }) => (typeof content === 'string' ? content : JSON.stringify(content)));
  return [...texts, JSON.stringify(format.json_schema)];
}

function doubtful({ tokens }: Exchange, { prompt, answer, reserved }: Evidence): string {
  const claim =
    tokens === undefined ? 'no usable count' : `${tokens.inputTokens} input and ${tokens.outputTokens} output tokens`;
  return `expected at most ${reserved.inputTokens} input and ${reserved.outputTokens} output tokens (a prompt of ${prompt}, an answer of ${answer}), got ${claim}; if this endpoint does not know max_completion_tokens, set MODEL_OUTPUT_LIMIT=max_tokens`;
}

function repairOf(content: string, problem: string): Message[] {
  const echo = content.length > REPAIR_ECHO_MAX ? `${content.slice(0, REPAIR_ECHO_MAX)}...` : content;
  const repair = `Your answer could not be used: ${problem}\nAnswer the same question again with one JSON value that fits the schema, and nothing else.`;
  return [...(echo === '' ? [] : [{ role: 'assistant' as const, content: echo }]), { role: 'user', content: repair }];
}

function total(usages: readonly ModelUsage[]): ModelUsage {
  return {
    inputTokens: usages.reduce((sum, usage) => sum + usage.inputTokens, 0),
    outputTokens: usages.reduce((sum, usage) => sum + usage.outputTokens, 0),
    usd: addUsd(usages.map((usage) => usage.usd)),
  };
}
