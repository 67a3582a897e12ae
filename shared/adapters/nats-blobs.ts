/**
 * Values over 512 KiB, in the object bucket `<m>_blobs`. Names are made here; nothing that a model says becomes one. Written by the object store's
 * client, read without it: the client reads through a consumer, which an agent may not create.
 */
import { createHash } from 'node:crypto';
import type { Objm } from '@nats-io/obj';
import { type NatsConnection, nuid } from '@nats-io/transport-node';
import type { BlobStore } from '../ports.ts';
import { decode } from '../protocol/codec.ts';
import { ObjectMeta } from '../protocol/object.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { allOf, lastOf } from './direct-get.ts';

export function natsBlobs(nc: NatsConnection, subjects: Subjects): BlobStore {
  let opened: ReturnType<Objm['open']> | undefined;
  // Few meshes ever have a value that large; the module is loaded for those that do.
  const open = async (): ReturnType<Objm['open']> => {
    const { Objm } = await import('@nats-io/obj');
    return new Objm(nc).open(subjects.blobsBucket);
  };
  const bucket = (): ReturnType<Objm['open']> =>
    (opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    }));
  async function metaOf(name: string): Promise<ObjectMeta | undefined> {
    for (const subject of subjects.blobMetas(name)) {
      const stored = await lastOf(nc, subjects.blobsStream, subject);
      const meta = stored === undefined ? undefined : decode(ObjectMeta, stored.data);
      if (meta?.ok === true && meta.value.deleted !== true) return meta.value;
    }
    return undefined;
  }

  return {
    async put(bytes) {
      const name = nuid.next();
      await (await bucket()).putBlob({ name }, bytes);
      return name;
    },
    async get(name) {
      const meta = await metaOf(name);
      if (meta === undefined) return undefined;
      const chunks = await allOf(nc, subjects.blobsStream, subjects.blobChunks(meta.nuid));
      const bytes = Buffer.concat(chunks.map(({ data }) => data));
      const digest = `SHA-256=${createHash('sha256').update(bytes).digest('base64url')}`;
      // Missing or altered chunks, or an object that is being replaced: not the value that was stored under this name.
      if (digest !== meta.digest.replace(/=+$/, '')) return undefined;
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    },
  };
}
