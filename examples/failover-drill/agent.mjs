// An agent as any program in any language may be one: it answers over HTTP, and registers itself where it is told to.
//
//   node agent.mjs <url of the registry> <id> <port, or 0>
//
// Says `{"port": …}` when it is there. `POST /slow?ms=3000` makes all of its answers slow.
import { createServer } from 'node:http';

const [registry, id, port] = process.argv.slice(2);
let slowMs = 0;

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://agent');
  if (pathname === '/slow') {
    slowMs = Number(searchParams.get('ms'));
    return response.end();
  }
  const answer = () => response.end(JSON.stringify({ from: id }));
  return setTimeout(answer, pathname === '/health' ? slowMs : 10 + slowMs);
});

server.listen(Number(port), '127.0.0.1', async () => {
  const { port: bound } = server.address();
  const instance = `${registry}/v1/services/worker/instances/${id}`;
  const url = `http://127.0.0.1:${bound}`;
  const register = () =>
    fetch(instance, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ url, metadata: { capabilities: 'work' } }),
    });
  const beat = async () => {
    // 404: the registry has lost its memory.
    const known = await fetch(`${instance}/heartbeat`, { method: 'POST' }).catch(() => undefined);
    if (known?.status === 404) await register().catch(() => undefined);
  };
  const { heartbeatMs } = await (await register()).json();
  setInterval(() => void beat(), heartbeatMs);
  process.stdout.write(`${JSON.stringify({ port: bound })}\n`);
});

// It never outlives whoever started it.
process.stdin.on('end', () => process.exit(0)).resume();
