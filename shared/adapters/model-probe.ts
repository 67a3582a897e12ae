/** Is the model's endpoint there? Asked without a question that would cost: `GET <base>/models`. */

const TIMEOUT_MS = 3_000;

/** Why no question could be answered there now, in one line; undefined when nothing speaks against it. Never throws. */
export async function probeModel(baseUrl: string, apiKey: string): Promise<string | undefined> {
  const where = new URL(baseUrl).origin;
  try {
    const response = await fetch(`${baseUrl.replace(/\/$/, '')}/models`, {
      headers: { authorization: `Bearer ${apiKey}` },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
    const { status } = response;
    if (status === 401 || status === 403) return `${where} refuses the key (${status}); set OPENAI_API_KEY`;
    if (status >= 500) return `${where} answers ${status}; see what is wrong there`;
    // Anything else comes from an endpoint that is there, also the 404 of one that does not list its models.
    return undefined;
  } catch (error) {
    return `no answer from ${where} (${causeOf(error)}); start it, or set OPENAI_BASE_URL to one that runs`;
  }
}

/** `fetch` hides what happened in the cause of its error. */
function causeOf(error: unknown): string {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error) return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
  if (error instanceof Error && error.name === 'TimeoutError') return `not within ${TIMEOUT_MS} ms`;
  return error instanceof Error ? error.message : String(error);
}
