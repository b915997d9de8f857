/** A stream of JSON texts, one a line, cut into its lines. */

/**
 * Lines without their ends; empty ones are left out, and so is a last one that was cut off.
 * @param maxBytes a longer line is an error, for it would have to be kept
 * @throws Error
 */
export async function* linesOf(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<string> {
  let kept: Buffer[] = [];
  let keptBytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      const line = Buffer.concat([...kept, chunk.subarray(start, end)]).toString('utf8');
      kept = [];
      keptBytes = 0;
      start = end + 1;
      if (line.trim() !== '') yield line;
    }
    if (start === chunk.length) continue;
    kept.push(chunk.subarray(start));
    keptBytes += chunk.length - start;
    if (keptBytes > maxBytes) throw new Error(`a line is longer than ${maxBytes} bytes`);
  }
}
