/** Finds where frames of an event stream end, in whatever pieces it arrives and with whatever line ends. */

const LF = 0x0a;
const CR = 0x0d;

export class FrameEdges {
  #lineIsEmpty = true;
  #afterCr = false;
  /** The last byte ended a frame: a line feed right after a carriage return still belongs to it. */
  #atEdge = true;

  /** @returns how much of the chunk ends with a frame: the index behind the last one, or -1 where none ends in it */
  push(chunk: Uint8Array): number {
    let edge = -1;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i];
      if (byte === LF && this.#afterCr) {
        this.#afterCr = false;
        if (this.#atEdge) edge = i + 1;
        continue;
      }
      this.#afterCr = byte === CR;
      const endsLine = byte === LF || byte === CR;
      this.#atEdge = endsLine && this.#lineIsEmpty;
      if (this.#atEdge) edge = i + 1;
      this.#lineIsEmpty = endsLine;
    }
    return edge;
  }
}
