/** The configured address of the admin plane, read as far as that is possible from a configuration that may be broken. */
import { interpolate } from '../config/interpolate.ts';
import { layer } from '../config/layers.ts';
import type { ConfigInput } from '../config/load.ts';
import { SchemaView } from '../config/schema-view.ts';
import { configSchema } from '../config/schema.ts';
import { nodeAt } from '../config/tree.ts';
import { isKeyAddress } from '../keys/key-address.ts';
import { parseAddress } from './urls.ts';
import type { Address } from './urls.ts';

/**
 * A sidecar whose file was spoiled serves on with the configuration it has; whoever asks after its health must still
 * find it. So nothing but the one value is looked at, and where even that cannot be read, the default is assumed.
 */
export function adminAddress(input: ConfigInput): Address {
  // Whether the sidecar is well must not depend on a server elsewhere.
  const files = input.files.filter((file) => !isKeyAddress(file));
  const { root } = layer({ ...input, files }, SchemaView.of(configSchema));
  const node = root && nodeAt(interpolate(root, input.env).root, ['server', 'admin']);
  const written = node?.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined;
  const valid = configSchema.safeParse({ server: { admin: written } });
  const { admin } = (valid.success ? valid.data : configSchema.parse({})).server;
  return parseAddress(admin);
}
