/** Programs that the sidecar runs on this machine are named on this machine, unless the operator allowed more. */
import { programsIn } from '../schema/agent.ts';
import type { CheckedSource, CheckProblem } from './load.ts';
import type { Path } from './path.ts';
import { ALLOW_PROGRAMS, isRemote } from './permissions.ts';
import type { Config } from './schema.ts';
import { nodeAt } from './tree.ts';
import type { TreeNode } from './tree.ts';

export function checkPrograms({ agent }: Config, { root, permissions }: CheckedSource): CheckProblem[] {
  if (!agent || permissions.programs) return [];
  return programsIn(agent).flatMap((below) => {
    const path = ['agent', ...below];
    const node = nodeAt(root, path);
    const remote = node && remoteIn(node, path);
    const message = `a configuration from the network may not say which programs run here, unless ${ALLOW_PROGRAMS}=true allows it on this machine`;
    return remote ? [{ path: remote, message }] : [];
  });
}

/** Where the first part of it stands that came over the network: a single argument makes another program. */
function remoteIn(node: TreeNode, path: Path): Path | undefined {
  if (isRemote(node.place) && node.kind !== 'map') return path;
  const children: [string | number, TreeNode][] =
    node.kind === 'map'
      ? [...node.entries].map(([key, entry]) => [key, entry.node])
      : node.kind === 'list'
        ? node.items.map((item, index) => [index, item])
        : [];
  for (const [key, child] of children) {
    const found = remoteIn(child, [...path, key]);
    if (found) return found;
  }
  return undefined;
}
