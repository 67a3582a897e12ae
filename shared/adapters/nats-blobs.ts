/** Values over 512 KiB, in the object bucket `<m>_blobs`. Names are made here; nothing that a model says becomes one. */
import type { Objm } from '@nats-io/obj';
import { type NatsConnection, nuid } from '@nats-io/transport-node';
import type { BlobStore } from '../ports.ts';
import type { Subjects } from '../protocol/subjects.ts';

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
  return {
    async put(bytes) {
      const name = nuid.next();
      await (await bucket()).putBlob({ name }, bytes);
      return name;
    },
    async get(name) {
      return (await (await bucket()).getBlob(name)) ?? undefined;
    },
  };
}
