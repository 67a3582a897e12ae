/** The streams, as the brokers have them. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { admin, brokers, say, stack } from '../site.ts';

describe('what is stored', () => {
  test('stands on three servers that flush each write, with the settings that the protocol rests on', async () => {
    for (const broker of brokers) {
      const { output } = await stack.exec(broker, ['wget', '-q', '-O', '-', 'http://127.0.0.1:8222/jsz?config=1']);
      const { config, meta_cluster: meta } = z
        .object({
          config: z.looseObject({ sync_always: z.boolean() }),
          meta_cluster: z.looseObject({ cluster_size: z.number(), leader: z.string() }),
        })
        .parse(JSON.parse(output));
      expect(config.sync_always, broker).toBe(true);
      expect(meta.cluster_size, broker).toBe(3);
    }
    const manager = await admin.manager();
    const streams = new Map<string, Awaited<ReturnType<typeof manager.streams.info>>>();
    for await (const info of manager.streams.list()) streams.set(info.config.name, info);
    expect([...streams.keys()].toSorted()).toEqual([
      'KV_mesh_agents',
      'KV_mesh_dag',
      'OBJ_mesh_blobs',
      'mesh_dead',
      'mesh_goals',
      'mesh_log',
    ]);
    for (const [name, { config, cluster }] of streams) {
      expect(config.num_replicas, name).toBe(3);
      expect(
        cluster?.replicas?.map(({ current }) => current),
        name,
      ).toEqual([true, true]);
      say(
        `  ${name}: replicas ${config.num_replicas}, leader ${cluster?.leader}, storage ${config.storage}, deny_delete ${config.deny_delete ?? false}, deny_purge ${config.deny_purge ?? false}`,
      );
    }
    expect(streams.get('KV_mesh_dag')?.config).toMatchObject({
      storage: 'file',
      deny_delete: true,
      allow_direct: true,
      allow_atomic: true,
      allow_msg_ttl: true,
      allow_msg_schedules: true,
      max_consumers: 50_000,
    });
    expect(streams.get('mesh_log')?.config).toMatchObject({
      storage: 'file',
      deny_delete: true,
      deny_purge: true,
      no_ack: true,
      sources: [{ name: 'KV_mesh_dag' }],
    });
    expect(streams.get('mesh_goals')?.config).toMatchObject({ storage: 'file', retention: 'workqueue' });
  });
});
