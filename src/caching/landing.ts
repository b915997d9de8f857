/** What came of asking the upstream, for one or for several who wanted to know. */
import { headerValues } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { FailureOutcome, RejectionOutcome, ResponseOutcome } from '../core/outcome.ts';
import type { SharedBody } from '../streams/shared-body.ts';
import type { Copy } from './copy.ts';

/** Fields of the request that the answer depends on, with the values of the request that was sent. */
export interface Dependence {
  readonly names: readonly string[];
  readonly headers: HeaderList;
}

export type Landing =
  /** What is kept is still the answer. */
  | { readonly kind: 'copy'; readonly copy: Copy; readonly dependsOn: Dependence }
  /** An answer that others may have, too. */
  | {
      readonly kind: 'shared';
      readonly outcome: ResponseOutcome;
      readonly body: SharedBody;
      readonly dependsOn: Dependence;
      /** It will be kept, if it ends well. */
      readonly keeps: boolean;
    }
  /** An answer for one alone. */
  | { readonly kind: 'own'; readonly outcome: ResponseOutcome }
  | { readonly kind: 'none'; readonly outcome: FailureOutcome | RejectionOutcome };

/** Whether what was answered to one answers the other. */
export const isAnswerTo = ({ names, headers }: Dependence, other: HeaderList): boolean =>
  names.every((name) => headerValues(headers, name).join('\n') === headerValues(other, name).join('\n'));
