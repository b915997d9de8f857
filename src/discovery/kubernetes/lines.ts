/** Cuts a stream of bytes into its lines. */

/** A line is longer than may be kept. */
export class LineTooLong extends Error {}

/** Empty lines are left out, and so is a last one that does not end. @throws LineTooLong */
export async function* linesOf(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      const line = Buffer.concat([...parts, chunk.subarray(start, end)]).toString('utf8');
      [parts, bytes, start] = [[], 0, end + 1];
      if (line.trim() !== '') yield line;
    }
    if (start === chunk.length) continue;
    parts.push(chunk.subarray(start));
    bytes += chunk.length - start;
    if (bytes > maxBytes) throw new LineTooLong(`a line has more than ${maxBytes} bytes`);
  }
}
