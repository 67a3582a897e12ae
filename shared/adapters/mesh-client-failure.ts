/** What went wrong between a client and the broker, reduced to what a person at a terminal can do about it. */
import { JetStreamApiError } from '@nats-io/jetstream';
import {
  AuthorizationError,
  ClosedConnectionError,
  ConnectionError,
  NoRespondersError,
  PermissionViolationError,
  RequestError,
  TimeoutError,
} from '@nats-io/transport-node';
import { ReadRefused, ReadStalled } from './mesh-client-read.ts';
import { BrokerUnreachable } from './nats-connect.ts';
import { BrokerUnfit } from './streams.ts';

/** The broker, or this mesh on it, is not there to serve us. One line: what was tried and what to do. */
export class MeshUnavailable extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'MeshUnavailable';
  }
}

/** The broker is there and says no: permissions, or a broker that cannot carry the protocol. */
export class MeshDenied extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'MeshDenied';
  }
}

/** What was read is there, but is not what the protocol says it should be. */
export class RecordUnreadable extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RecordUnreadable';
  }
}

const STREAM_NOT_FOUND = 10_059;

/** The error a caller should see for `error`; anything that did not come from the broker is returned as it is. */
export function explainFailure(error: unknown, at: { readonly url: string; readonly mesh: string }): unknown {
  const { mesh } = at;
  const url = withoutPassword(at.url);
  const causes = chain(error);
  if (causes.some((cause) => cause instanceof AuthorizationError)) {
    return new MeshUnavailable(
      `the broker at ${url} refuses these credentials; set NATS_CREDS or NATS_NKEY_SEED`,
      error,
    );
  }
  if (error instanceof BrokerUnreachable) return new MeshUnavailable(error.message.replaceAll(at.url, url), error);
  if (error instanceof BrokerUnfit) return new MeshDenied(error.message, error);
  const code = error instanceof JetStreamApiError || error instanceof ReadRefused ? error.code : undefined;
  if (code === STREAM_NOT_FOUND) {
    return new MeshUnavailable(
      `the broker at ${url} has no mesh "${mesh}"; start one of its agents, or run: conclave admin init`,
      error,
    );
  }
  const denied = causes.find((cause) => cause instanceof PermissionViolationError);
  if (denied instanceof PermissionViolationError) {
    const detail = `${denied.operation} on ${denied.subject}`;
    return new MeshDenied(
      `the broker at ${url} does not let these credentials do this (${detail}); use others (NATS_CREDS, NATS_NKEY_SEED)`,
      error,
    );
  }
  if (causes.some((cause) => isOff(cause) || isNoResponders(cause))) {
    // A broker without JetStream and a mesh without its streams both look like this to a publisher.
    return new MeshUnavailable(
      `nothing at ${url} answers for mesh "${mesh}"; the broker needs JetStream, and the mesh an agent or: conclave admin init`,
      error,
    );
  }
  if (causes.some(isSilence)) {
    return new MeshUnavailable(`the broker at ${url} stopped answering; check that it runs, then try again`, error);
  }
  return error;
}

/** Addresses may carry a name and a password, which belong on no screen. */
export function withoutPassword(url: string): string {
  return url.replace(/\/\/[^/@,]*@/g, '//');
}

/** True when trying the same read again later makes sense. */
export function isPassing(error: unknown): boolean {
  return chain(error).some((cause) => isSilence(cause) || isNoResponders(cause));
}

function isSilence(cause: unknown): boolean {
  return (
    cause instanceof TimeoutError ||
    cause instanceof ClosedConnectionError ||
    cause instanceof ConnectionError ||
    cause instanceof ReadStalled
  );
}

function isNoResponders(cause: unknown): boolean {
  return cause instanceof NoRespondersError || (cause instanceof RequestError && cause.isNoResponders());
}

/** JetStream is off for the whole server or for this account; the client does not export the class of that error. */
function isOff(cause: unknown): boolean {
  return cause instanceof Error && cause.name === 'JetStreamNotEnabled';
}

function chain(error: unknown): readonly unknown[] {
  const found: unknown[] = [];
  for (let at = error; at instanceof Error && found.length < 8; at = at.cause) found.push(at);
  return found;
}
