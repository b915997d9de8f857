// The second half of the build: what the compiler leaves behind in src/ (pages, tables) goes to dist/ as it is, and the
// entry point becomes executable.
import { chmodSync, cpSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

cpSync(path('src'), path('dist'), {
  recursive: true,
  filter: (source) => statSync(source).isDirectory() || !source.endsWith('.ts'),
});
chmodSync(path('dist/main.js'), 0o755);
