/** Loaded before a process (`NODE_OPTIONS=--import=...`): says on stderr which packages it loads. */
import { registerHooks } from 'node:module';

registerHooks({
  load(url, context, next) {
    const name = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*\/node_modules\/)/.exec(url)?.[1];
    if (name !== undefined) process.stderr.write(`loaded ${name}\n`);
    return next(url, context);
  },
});
