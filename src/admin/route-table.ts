/** Which routes there are, so that a request that misses them all is told what it could have asked. */
import { AdminProblem } from './problems.ts';

export class RouteTable {
  readonly #methods = new Map<string, Set<string>>();

  /** @param pattern a path in which segments that start with `:` stand for any */
  add(methods: string | readonly string[], pattern: string): void {
    const known = this.#methods.get(pattern) ?? new Set();
    for (const method of [methods].flat()) known.add(method);
    this.#methods.set(pattern, known);
  }

  /** 405 when another method would have been right, 404 with the list of routes otherwise. */
  problemFor(method: string, url: string): AdminProblem {
    const path = url.split('?', 1)[0] ?? '';
    const allowed = [...this.#methods].find(([pattern]) => matches(pattern, path))?.[1];
    if (!allowed) {
      const detail = `there is no ${path}; there are ${this.#list().join(', ')}`;
      return new AdminProblem({ status: 404, code: 'no_such_route', detail });
    }
    const allow = [...allowed].join(', ');
    return new AdminProblem({
      status: 405,
      code: 'method_not_allowed',
      detail: `${path} takes ${allow}, not ${method}`,
      headers: { allow },
    });
  }

  #list(): string[] {
    return [...this.#methods].map(
      ([pattern, methods]) => `${methods.has('GET') ? 'GET' : [...methods].join('|')} ${pattern}`,
    );
  }
}

function matches(pattern: string, path: string): boolean {
  const expected = pattern.split('/');
  const actual = path.split('/');
  return (
    expected.length === actual.length &&
    expected.every(
      (segment, index) => segment === actual[index] || (segment.startsWith(':') && actual[index] !== ''),
    )
  );
}
