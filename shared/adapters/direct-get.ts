/**
 * Reads of many messages without a consumer, from whichever replica answers: batched direct gets. A consumer would do as well, but an agent that may
 * create consumers may publish anything it can store anywhere in its account, because the broker delivers to whatever subject the consumer names
 * (tried on nats-server 2.15.1). So agents have no right to create any, and lists are read like this.
 */
import {
  createInbox,
  type Msg,
  type NatsConnection,
  NoRespondersError,
  PermissionViolationError,
  TimeoutError,
} from '@nats-io/transport-node';
import { ConnectionBroke, isBroken, onOutage } from './outage.ts';
import { inboxPrefixOf } from './requests.ts';

export interface DirectMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly data: Uint8Array;
  /** A deleted or expired key. */
  readonly marker: boolean;
  header(name: string): string | undefined;
}

/** The broker refused. Silence is the client's TimeoutError, a missing right its PermissionViolationError, as with any request; a break of the connection ConnectionBroke. */
class DirectGetFailed extends Error {}

const PAGE = 1_000;
const SILENCE_MS = 5_000;
const END_OF_BATCH = 204;
const NOT_FOUND = 404;
const TOO_MANY_SUBJECTS = 413;
const NO_RESPONDERS = 503;
const MARKERS = ['KV-Operation', 'Nats-Marker-Reason'];

interface Page {
  readonly messages: readonly DirectMessage[];
  /** Matching messages after this page. */
  readonly pending: number;
  readonly code: number;
}

/** The last message of every subject that matches one of `patterns`, by subject; markers left out. Throws DirectGetFailed and the client's errors. */
export async function lastOfEach(
  nc: NatsConnection,
  stream: string,
  patterns: readonly string[],
): Promise<ReadonlyMap<string, DirectMessage>> {
  const found = new Map<string, DirectMessage>();
  for (let start = 0; start < patterns.length; start += PAGE)
    await addLastOfEach(found, nc, stream, patterns.slice(start, start + PAGE));
  return found;
}

async function addLastOfEach(
  found: Map<string, DirectMessage>,
  nc: NatsConnection,
  stream: string,
  patterns: readonly string[],
): Promise<void> {
  const keep = (messages: readonly DirectMessage[]): void => {
    for (const message of messages) {
      if (message.marker) found.delete(message.subject);
      else found.set(message.subject, message);
    }
  };
  const first = await page(nc, stream, { multi_last: patterns, batch: PAGE });
  if (first.code !== TOO_MANY_SUBJECTS && first.pending === 0) {
    return keep(first.messages);
  }
  // More subjects than the server gathers at once: everything that matches, in order, so that the last of each stays.
  for (const pattern of patterns) {
    for (let from = 1, isMore = true; isMore; ) {
      const next = await page(nc, stream, { seq: from, next_by_subj: pattern, batch: PAGE });
      keep(next.messages);
      const last = next.messages.at(-1);
      isMore = last !== undefined && next.pending > 0;
      from = (last?.sequence ?? 0) + 1;
    }
  }
}

/** All messages of one subject, oldest first. Throws DirectGetFailed and the client's errors. */
export async function allOf(nc: NatsConnection, stream: string, subject: string): Promise<readonly DirectMessage[]> {
  const found: DirectMessage[] = [];
  for (let from = 1; ; ) {
    const next = await page(nc, stream, { seq: from, next_by_subj: subject, batch: PAGE });
    found.push(...next.messages);
    const last = next.messages.at(-1);
    if (last === undefined || next.pending === 0) return found;
    from = last.sequence + 1;
  }
}

/**
 * The last message of one subject; undefined when there is none. The subject stands in the request's own, so that the broker's permissions can
 * bind a reader to it. Throws DirectGetFailed.
 */
export async function lastOf(nc: NatsConnection, stream: string, subject: string): Promise<DirectMessage | undefined> {
  const asked = `$JS.API.DIRECT.GET.${stream}.${subject}`;
  const answer = await nc.request(asked, '', { timeout: SILENCE_MS });
  const code = answer.headers?.code ?? 0;
  if (code === NOT_FOUND) return undefined;
  if (code !== 0) throw failed(stream, asked, answer);
  const message = read(answer);
  return message.marker ? undefined : message;
}

function page(nc: NatsConnection, stream: string, query: object): Promise<Page> {
  return new Promise((resolve, reject) => {
    const subject = `$JS.API.DIRECT.GET.${stream}`;
    const inbox = createInbox(inboxPrefixOf(nc));
    const messages: DirectMessage[] = [];
    let timer: NodeJS.Timeout | undefined;
    const end = (finish: () => void): void => {
      clearTimeout(timer);
      forget();
      calm();
      subscription.unsubscribe();
      finish();
    };
    const fail = (error: Error): void => end(() => reject(error));
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => fail(new TimeoutError()), SILENCE_MS);
    };
    const subscription = nc.subscribe(inbox, {
      callback: (error, message) => {
        if (error !== null) return fail(error);
        const code = message.headers?.code ?? 0;
        if (code === 0) {
          messages.push(read(message));
          return wait();
        }
        const pending = Number(message.headers?.get('Nats-Num-Pending') ?? 0);
        if (code === END_OF_BATCH || code === NOT_FOUND || code === TOO_MANY_SUBJECTS)
          return end(() => resolve({ messages, pending, code }));
        return fail(failed(stream, subject, message));
      },
    });
    const forget = onDenied(nc, subject, fail);
    const broke = (): void => fail(new ConnectionBroke(`stream ${stream}: the connection broke`));
    const calm = onOutage(nc, { broke });
    if (isBroken(nc)) return broke();
    wait();
    nc.publish(subject, JSON.stringify(query), { reply: inbox });
  });
}

type Denied = (error: PermissionViolationError) => void;

const perConnection = new WeakMap<NatsConnection, Map<string, Set<Denied>>>();

/** Hears of it when the broker denies a publish on this subject. Returns how to stop. */
function onDenied(nc: NatsConnection, subject: string, hear: Denied): () => void {
  const known = perConnection.get(nc) ?? new Map<string, Set<Denied>>();
  if (!perConnection.has(nc)) {
    perConnection.set(nc, known);
    void (async () => {
      for await (const status of nc.status())
        if (status.type === 'error' && status.error instanceof PermissionViolationError)
          for (const each of known.get(status.error.subject) ?? []) each(status.error);
    })();
  }
  const hearers = known.get(subject) ?? new Set<Denied>();
  known.set(subject, hearers.add(hear));
  return () => void hearers.delete(hear);
}

function read(message: Msg): DirectMessage {
  const { headers: found } = message;
  return {
    subject: found?.get('Nats-Subject') ?? '',
    sequence: Number(found?.get('Nats-Sequence') ?? 0),
    data: message.data,
    marker: MARKERS.some((name) => found?.has(name) === true),
    header: (name) => found?.get(name) || undefined,
  };
}

function failed(stream: string, subject: string, { headers: found }: Msg): Error {
  return found?.code === NO_RESPONDERS
    ? new NoRespondersError(subject)
    : new DirectGetFailed(`stream ${stream}: ${found?.description ?? 'no reason given'} (${found?.code ?? 0})`);
}
