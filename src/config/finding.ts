/** A problem while it is being found: a place in some layer and words, not yet positions, excerpts and redaction. */
import type { Path } from './path.ts';
import type { Place } from './tree.ts';

export interface Finding {
  readonly place: Place;
  readonly path: Path;
  readonly message: string;
  readonly expected?: string;
  readonly got?: string;
  /** The place lies in the `defaults` section, so the path is to be told from there. */
  readonly viaDefaults?: boolean;
  readonly severity?: 'error' | 'warning';
  /** The words are the schema's or a check's own: they may quote values, which must be hidden. */
  readonly foreign?: boolean;
}

/** A finding in the usual words, "expected …, got …". */
export function mismatch(
  where: Pick<Finding, 'place' | 'path' | 'viaDefaults'>,
  expected: string,
  got: string,
  hint = '',
): Finding {
  return { ...where, expected, got, message: `expected ${expected}, got ${got}${hint}` };
}
