// The outline of one speaker's sound, at every resolution.

const PEAKS_PER_SECOND = 50;
const LEVEL_STEP = 4;
const FULL_SCALE = 127;
// Sound less than this apart is one span: an element that plays on through a pause of breath is never out of step.
const SPAN_GAP_S = 3;

class Envelope {
  /** `base64` of deflated int8 pairs (lowest, highest), one per 20 ms, square roots of the samples. */
  static async decode(base64) {
    if (!base64) return new Envelope(new Int8Array(0));
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Envelope(new Int8Array(await new Response(stream).arrayBuffer()));
  }

  constructor(pairs) {
    this.levels = [pairs];
    while (this.levels.at(-1).length > 2000) this.levels.push(coarser(this.levels.at(-1)));
    let highest = 1;
    const coarsest = this.levels.at(-1);
    for (let i = 0; i < coarsest.length; i++) highest = Math.max(highest, Math.abs(coarsest[i]));
    /** Highest sample, 0 to 127. */
    this.highest = highest;
  }

  get empty() {
    return this.levels[0].length === 0;
  }

  /** The finest level that has no more than two peaks a pixel: its pairs, and how many it has a second. */
  levelFor(pixelsPerSecond) {
    let [number, perSecond] = [0, PEAKS_PER_SECOND];
    while (number + 1 < this.levels.length && perSecond > 2 * pixelsPerSecond) {
      number += 1;
      perSecond /= LEVEL_STEP;
    }
    return { pairs: this.levels[number], perSecond };
  }

  /** Where there is any sound at all: [[begin, end], …] in seconds, a little wider than the sound. */
  spans() {
    const pairs = this.levels[0];
    const spans = [];
    const gap = SPAN_GAP_S * PEAKS_PER_SECOND;
    let [begin, last] = [-1, -1];
    for (let i = 0; i < pairs.length; i += 2) {
      if (pairs[i] === 0 && pairs[i + 1] === 0) continue;
      const at = i >> 1;
      if (begin < 0) begin = at;
      else if (at - last > gap) {
        spans.push([begin / PEAKS_PER_SECOND, (last + 1) / PEAKS_PER_SECOND]);
        begin = at;
      }
      last = at;
    }
    if (begin >= 0) spans.push([begin / PEAKS_PER_SECOND, (last + 1) / PEAKS_PER_SECOND]);
    return spans;
  }
}

function coarser(pairs) {
  const step = 2 * LEVEL_STEP;
  const coarse = new Int8Array(2 * Math.ceil(pairs.length / step));
  for (let i = 0, out = 0; i < pairs.length; i += step, out += 2) {
    let [low, high] = [0, 0];
    for (let k = i; k < Math.min(i + step, pairs.length); k += 2) {
      if (pairs[k] < low) low = pairs[k];
      if (pairs[k + 1] > high) high = pairs[k + 1];
    }
    coarse[out] = low;
    coarse[out + 1] = high;
  }
  return coarse;
}
