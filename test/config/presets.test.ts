import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { formatOrigin, originOf } from '../../src/config/origins.ts';
import { PRESET_NAMES, PRESETS } from '../../src/config/presets.ts';
import { configSchema } from '../../src/config/schema.ts';
