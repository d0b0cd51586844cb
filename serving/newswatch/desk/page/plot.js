// Articles per tag and day: one small plot a tag, all of one scale, and the same figures as a table.

import { drawing, element } from "/desk/element.js";
import { colour } from "/desk/scheme.js";

const HEIGHT = 36;
const SLOT = 6;

export class Plot {
  /**
   * @param days [{day, tags: {name: articles}}], oldest first
   * @param chosen {tag, day, choose({tag, day})}
   */
  constructor(days, scheme, { tag, day, choose }) {
    this.days = days;
    this.chosen = { tag, day, choose };
    const seen = new Set(days.flatMap(({ tags }) => Object.keys(tags)));
    const shown = [...seen].map((name) => scheme.tag(name)).sort((a, b) => a.order - b.order);
    this.node = element("figure", { class: "plot" });
    if (!shown.length) return;
    this.top = Math.max(...days.flatMap(({ tags }) => Object.values(tags)));
    const span = `${date(days[0].day)} to ${date(days.at(-1).day)}`;
    const scale = `The tallest bar stands for ${this.top} ${this.top === 1 ? "article" : "articles"}.`;
    const label = `Articles a day that carry each tag, ${span}`;
    this.node.append(
      element("figcaption", {}, `${label}. ${scale}`),
      element("ul", { class: "multiples" }, shown.map((each) => this.#one(each))),
      element(
        "details",
        {},
        element("summary", {}, "As a table"),
        element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table(days, shown, label)),
      ),
    );
  }

  #one(tag) {
    const { tag: chosen, choose } = this.chosen;
    const total = this.days.reduce((sum, { tags }) => sum + (tags[tag.name] ?? 0), 0);
    const width = SLOT * this.days.length;
    return element(
      "li",
      { class: tag.name === chosen ? "tag chosen" : "tag", vars: colour(tag) },
      element(
        "button",
        { type: "button", id: `plot-${tag.name}`, "aria-pressed": String(tag.name === chosen), on: { click: () => choose({ tag: tag.name === chosen ? "" : tag.name }) } },
        element("span", { class: "title" }, tag.title),
        element("span", { class: "score" }, String(total)),
      ),
      drawing(
        "svg",
        { viewBox: `0 0 ${width} ${HEIGHT + 1}`, preserveAspectRatio: "none", "aria-hidden": "true" },
        this.days.flatMap(({ day, tags }, at) => this.#day(tag, day, tags[tag.name] ?? 0, at)),
        drawing("line", { class: "base", x1: 0, x2: width, y1: HEIGHT + 0.5, y2: HEIGHT + 0.5 }),
      ),
    );
  }

  /** The keyboard chooses a day in the filters; the bars are a short cut for the mouse. */
  #day(tag, day, count, at) {
    const { day: chosen, choose } = this.chosen;
    const height = (HEIGHT * count) / this.top;
    const hit = drawing(
      "rect",
      { class: day === chosen ? "day chosen" : "day", x: at * SLOT, width: SLOT, y: 0, height: HEIGHT, on: { click: () => choose({ tag: tag.name, day }) } },
      drawing("title", {}, `${date(day)}: ${count}`),
    );
    return [hit, ...(count ? [drawing("rect", { class: "piece", x: at * SLOT + 0.75, width: SLOT - 1.5, y: HEIGHT - height, height })] : [])];
  }
}

function table(days, tags, label) {
  const head = element("tr", {}, element("th", { scope: "col" }, "Day"), tags.map((tag) => element("th", { scope: "col" }, tag.title)));
  const rows = days.map(({ day, tags: counts }) =>
    element("tr", {}, element("th", { scope: "row" }, date(day)), tags.map((tag) => element("td", {}, String(counts[tag.name] ?? 0)))),
  );
  return element("table", {}, element("caption", { class: "unseen" }, label), element("thead", {}, head), element("tbody", {}, rows));
}

const date = (day) => new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
