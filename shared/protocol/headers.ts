/** Names of message headers that are ours. A reader that does not know them loses nothing. */

/**
 * On each revision of a record: the revision of the same key that it replaced, 0 for the first. The broker strips its own guard
 * (`Nats-Expected-Last-Subject-Sequence`) from what it sources into the log; this one stays, so that the log proves by itself that no revision of a
 * key is missing (I9).
 */
export const REPLACES_HEADER = 'Conclave-Replaces';

/** W3C Trace Context, on submissions, messages, vote requests and ballots. */
export const TRACEPARENT_HEADER = 'traceparent';
