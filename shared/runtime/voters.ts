/** The voters that an agent asks: breakers for those that were silent, fed by its own rounds and by who is present. */
import type { Registry } from '../ports.ts';
import { type Breakers, everybody, type WatchedElectors, watchedElectors } from './vote/electors.ts';
import type { Ended } from './vote/observer.ts';

export interface Voters extends Pick<WatchedElectors, 'choose' | 'heard'> {
  /** The same registry; whoever is not in a list of it any more is forgotten. */
  watching(registry: Registry): Registry;
}

/** `load`: called by the first silence, so that an agent whose voters answer never loads a breaker. */
export function votersOf(load: () => Promise<Breakers>): Voters {
  let electors: WatchedElectors | undefined;
  let loading: Promise<WatchedElectors> | undefined;

  async function loaded(): Promise<WatchedElectors> {
    electors ??= watchedElectors(await load());
    return electors;
  }

  return {
    choose: (...given) => (electors ?? everybody).choose(...given),
    heard(event: Ended) {
      if (electors !== undefined) return electors.heard(event);
      if (event.silent.length === 0 && loading === undefined) return;
      loading ??= loaded();
      void loading.then((now) => now.heard(event));
    },
    watching: (registry) => ({
      async list() {
        const agents = await registry.list();
        electors?.present(agents);
        return agents;
      },
    }),
  };
}
