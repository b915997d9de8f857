/** What a server says of its tools in `tools/list`, as far as it matters here: which of them may be called twice. */
import { asRecord } from './json-shapes.ts';

/** Servers behind one upstream, and the tools of all of them. Of more, the oldest are forgotten. */
const MAX_TOOLS = 10_000;

export class LearntTools {
  /** By the path of the server and the name of the tool: servers behind one upstream may use the same names. */
  readonly #repeatable = new Map<string, boolean>();

  /** The newest list counts, so that a hint that was taken back is forgotten. */
  note(path: string, listResult: unknown): void {
    const tools = asRecord(listResult)?.['tools'];
    if (!Array.isArray(tools)) return;
    for (const one of tools) {
      const tool = asRecord(one);
      if (typeof tool?.['name'] === 'string') this.#note(keyOf(path, tool['name']), isRepeatable(tool));
    }
  }

  isRepeatable(path: string, tool: string): boolean {
    return this.#repeatable.get(keyOf(path, tool)) === true;
  }

  #note(key: string, repeatable: boolean): void {
    this.#repeatable.delete(key);
    this.#repeatable.set(key, repeatable);
    if (this.#repeatable.size <= MAX_TOOLS) return;
    const [oldest] = this.#repeatable.keys();
    if (oldest !== undefined) this.#repeatable.delete(oldest);
  }
}

const keyOf = (path: string, tool: string): string => `${path}\n${tool}`;

function isRepeatable(tool: Readonly<Record<string, unknown>>): boolean {
  const hints = asRecord(tool['annotations']);
  return hints?.['readOnlyHint'] === true || hints?.['idempotentHint'] === true;
}
