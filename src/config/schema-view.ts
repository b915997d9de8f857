/**
 * What a schema says about one place of the tree: which keys belong there, which types fit, whether it is secret.
 * Wrappers (optional, defaults, codecs, unions) are seen through.
 */
import { z } from 'zod';
import {
  acceptsScalar,
  childSchema,
  freeChild,
  hasOwnChild,
  innerSchemas,
  markedPath,
  isMarkedSecret,
  namedKeys,
  schemaHoldsSecret,
} from './schema-inside.ts';
import type { AnySchema, MarkedPath } from './schema-inside.ts';
import type { Scalar } from './tree.ts';

/** The message of an issue for which the schema gives none. No schema says this itself. */
export const NO_OWN_WORDS = '\u0000';

/** One of the schemas that may apply at a place: a union gives several. */
interface Alternative {
  readonly schema: AnySchema;
  readonly secret: boolean;
  readonly path: MarkedPath | undefined;
}

const VIEWS = new WeakMap<z.ZodType, SchemaView>();

export class SchemaView {
  readonly #alternatives: readonly Alternative[];
  readonly #nullable: boolean;
  readonly #hasDefault: boolean;
  /** Children the schema itself does not have. */
  readonly #extra: ReadonlyMap<string, SchemaView>;
  readonly #children = new Map<string, SchemaView>();
  readonly #widened = new Map<string, { readonly child: SchemaView; readonly view: SchemaView }>();
  #freeChild: SchemaView | undefined;
  #holdsSecret: boolean | undefined;

  private constructor(sources: readonly Alternative[], extra: ReadonlyMap<string, SchemaView>) {
    const seen = seeThrough(sources);
    this.#alternatives = seen.alternatives;
    this.#nullable = seen.nullable;
    this.#hasDefault = seen.hasDefault;
    this.#extra = extra;
  }

  /** The view of a whole schema; made once, for its parts are worked out only as they are looked at. */
  static of(schema: z.ZodType): SchemaView {
    const known = VIEWS.get(schema);
    if (known) return known;
    const view = SchemaView.#make(schema);
    VIEWS.set(schema, view);
    return view;
  }

  static #make(schema: z.ZodType): SchemaView {
    return new SchemaView(
      [{ schema: schema as unknown as AnySchema, secret: false, path: undefined }],
      new Map(),
    );
  }

  /** This view with one more named child, for a section that the schema itself does not have. */
  with(key: string, child: SchemaView): SchemaView {
    const known = this.#widened.get(key);
    if (known?.child === child) return known.view;
    const view = new SchemaView(this.#alternatives, new Map([...this.#extra, [key, child]]));
    this.#widened.set(key, { child, view });
    return view;
  }

  /** False where the schema has no place for anything: an unknown key and all below it. */
  get known(): boolean {
    return this.#alternatives.length > 0;
  }

  /** The names that belong here; a record's free names are not among them. */
  get keys(): readonly string[] {
    const named = this.#alternatives.flatMap(({ schema }) => namedKeys(schema));
    return [...new Set([...named, ...this.#extra.keys()])];
  }

  /** Names may be chosen freely: a record, or anything goes. */
  get hasFreeKeys(): boolean {
    return this.#alternatives.some(({ schema }) => freeChild(schema) !== undefined);
  }

  get acceptsList(): boolean {
    return this.#hasType('array', 'tuple', 'any', 'unknown');
  }

  get acceptsMap(): boolean {
    return this.#hasType('object', 'record', 'any', 'unknown');
  }

  /** Whether a scalar of this type (for literals: this very value) could be valid here. */
  accepts(value: Scalar): boolean {
    if (value === null && this.#nullable) return true;
    return this.#alternatives.some(({ schema }) => acceptsScalar(schema, value));
  }

  /** Whether there is a value where none is written. */
  get hasDefault(): boolean {
    return this.#hasDefault;
  }

  /** Never print what stands here. */
  get secret(): boolean {
    return this.#alternatives.some(({ secret }) => secret);
  }

  /** What stands here is a path: of a file that is read with the configuration, or of a directory. */
  get path(): MarkedPath | undefined {
    return this.#alternatives.find(({ path }) => path)?.path;
  }

  /** Secret here or somewhere below: a value of the wrong shape may be a misplaced secret. */
  get holdsSecret(): boolean {
    return (this.#holdsSecret ??=
      this.secret || this.#alternatives.some(({ schema }) => schemaHoldsSecret(schema, new Set())));
  }

  /** What applies under a key or an index. */
  child(segment: string | number): SchemaView {
    const known = this.#extra.get(String(segment)) ?? this.#children.get(String(segment));
    if (known) return known;
    const named = this.#alternatives.some(({ schema }) => hasOwnChild(schema, segment));
    if (!named) return (this.#freeChild ??= this.#below(segment));
    const view = this.#below(segment);
    this.#children.set(String(segment), view);
    return view;
  }

  at(path: readonly (string | number)[]): SchemaView {
    let view: SchemaView = this; // eslint-disable-line @typescript-eslint/no-this-alias -- the walk starts here
    for (const segment of path) view = view.child(segment);
    return view;
  }

  /**
   * What the schema says, in words of its own, against this text; undefined when it takes the text or has no own words.
   * Lets `5` be answered with "expected a duration such as …" rather than "expected a string".
   */
  objectionTo(text: string): string | undefined {
    const [only, ...others] = this.#alternatives;
    if (!only || others.length > 0 || only.schema._zod.def.type !== 'string') return undefined;
    const message = z.safeParse(only.schema, text, { error: () => NO_OWN_WORDS }).error?.issues[0]?.message;
    return message === NO_OWN_WORDS ? undefined : message;
  }

  #below(segment: string | number): SchemaView {
    const sources: Alternative[] = [];
    for (const { schema, secret } of this.#alternatives) {
      const child = childSchema(schema, segment);
      if (child) sources.push({ schema: child, secret, path: undefined });
    }
    return new SchemaView(sources, new Map());
  }

  #hasType(...types: readonly string[]): boolean {
    return this.#alternatives.some(({ schema }) => types.includes(schema._zod.def.type));
  }
}

/** Looks through wrappers and unions to the schemas that meet the input. */
function seeThrough(sources: readonly Alternative[]): {
  alternatives: readonly Alternative[];
  nullable: boolean;
  hasDefault: boolean;
} {
  const alternatives: Alternative[] = [];
  let nullable = false;
  let hasDefault = false;
  const visit = (schema: AnySchema, inherited: Omit<Alternative, 'schema'>): void => {
    const marks = {
      secret: inherited.secret || isMarkedSecret(schema),
      path: inherited.path ?? markedPath(schema),
    };
    const inner = innerSchemas(schema);
    const { type } = schema._zod.def;
    if (type === 'nullable') nullable = true;
    if (type === 'default' || type === 'prefault') hasDefault = true;
    if (inner) for (const next of inner) visit(next, marks);
    else alternatives.push({ schema, ...marks });
  };
  for (const { schema, ...marks } of sources) visit(schema, marks);
  return { alternatives, nullable, hasDefault };
}
