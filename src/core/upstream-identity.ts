/** What those who see an exchange know of the service that it is for. */
import type { Dialect } from './dialect.ts';
import type { ModelCatalog } from './model-catalog.ts';

/** The service an exchange is for. */
export interface UpstreamIdentity {
  readonly name: string;
  readonly dialect: Dialect;
  /**
   * The operator's word on sending a request twice: it does no harm here (`true`), or none but cost where the protocol
   * knows the call to be a mere computation (`compute`).
   */
  readonly idempotent: boolean | 'compute';
  /** Lower-case names of the fields in which clients send credentials meant for this upstream. */
  readonly credentialHeaders: ReadonlySet<string>;
  /** What the operator says of its models; without, all are `other` and have no price. */
  readonly models?: ModelCatalog;
}
