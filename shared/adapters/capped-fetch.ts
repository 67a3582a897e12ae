/** `fetch` that stops reading a body at a limit, so that no endpoint can fill this process's memory. */

/** A body went over the limit; the rest of it was not read and the connection is closed. */
export class BodyTooLarge extends Error {
  readonly bytesMax: number;

  constructor(bytesMax: number) {
    super(`the answer's body is larger than ${bytesMax} bytes`);
    this.name = 'BodyTooLarge';
    this.bytesMax = bytesMax;
  }
}

/** Counts what arrives after decompression: a small compressed body may unfold into a huge one. */
export function cappedFetch(bytesMax: number, inner: typeof fetch = fetch): typeof fetch {
  return async (input, init) => {
    const response = await inner(input, init);
    if (response.body === null) return response;
    let bytes = 0;
    const counted = response.body.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          bytes += chunk.byteLength;
          if (bytes > bytesMax) controller.error(new BodyTooLarge(bytesMax));
          else controller.enqueue(chunk);
        },
      }),
    );
    return new Response(counted, {
      status: response.status,
      statusText: response.statusText,
      headers: response.headers,
    });
  };
}
