/** Values over 512 KiB, in the object bucket `<m>_blobs`. Names are made here; nothing that a model says becomes one. */
import { Objm } from '@nats-io/obj';
import { type NatsConnection, nuid } from '@nats-io/transport-node';
import type { BlobStore } from '../ports.ts';
import type { Subjects } from '../protocol/subjects.ts';

export function natsBlobs(nc: NatsConnection, subjects: Subjects): BlobStore {
  const bucket = (() => {
    let opened: ReturnType<Objm['open']> | undefined;
    return () => (opened ??= new Objm(nc).open(subjects.blobsBucket));
  })();
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
