/** A text whose offsets count code points, as the service's do; those of JavaScript strings count UTF-16 units. */
export class CodePoints {
  constructor(text) {
    this.points = Array.from(text);
  }

  get length() {
    return this.points.length;
  }

  slice(start, end) {
    return this.points.slice(start, end).join("");
  }
}
