import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../services/model/config.ts';

describe('the environment of the offline model', () => {
  it('has a default for everything', () => {
    const config = loadConfig({});
    expect(config).toEqual({ host: '127.0.0.1', port: 0, logLevel: 'info', latencyMs: 0, rates: new Map(), seed: '1' });
    expect(Object.isFrozen(config)).toBe(true);
  });

  it('is read', () => {
    const config = loadConfig({
      HOST: '::1',
      HTTP_PORT: '8080',
      LOG_LEVEL: 'silent',
      MODEL_LATENCY_MS: '250',
      MODEL_FAULTS: 'hang:0.5',
      MODEL_SEED: 'x',
    });
    expect(config).toMatchObject({ host: '::1', port: 8080, logLevel: 'silent', latencyMs: 250, seed: 'x' });
    expect(config.rates.get('hang')).toBe(0.5);
  });

  it.each([
    ['HTTP_PORT', '65536'],
    ['HTTP_PORT', '-1'],
    ['HTTP_PORT', ''],
    ['HTTP_PORT', '0x10'],
    ['MODEL_LATENCY_MS', '1.5'],
    ['MODEL_LATENCY_MS', '600001'],
    ['MODEL_FAULTS', 'hang'],
    ['LOG_LEVEL', 'loud'],
    ['HOST', 'a host'],
  ])('names %s when it is %j, in one line that says what it accepts', (name, value) => {
    let message = '';
    try {
      loadConfig({ [name]: value });
    } catch (error) {
      message = error instanceof Error ? error.message : '';
    }
    expect(message).toMatch(new RegExp(`^${name}: expected .+, got ${JSON.stringify(value)}$`));
    expect(message).not.toContain('\n');
  });
});
