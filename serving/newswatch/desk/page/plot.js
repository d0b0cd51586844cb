// Articles per tag and day, as stacked bars; the same figures as a table.

import { drawing, element } from "/desk/element.js";

const WIDTH = 960;
const HEIGHT = 168;
const LEFT = 30;
const BOTTOM = 22;

export class Plot {
  /**
   * @param days [{day, tags: {name: articles}}], oldest first
   * @param chosen {tag, day, choose({tag}|{day})}
   */
  constructor(days, scheme, { tag, day, choose }) {
    const totals = new Map();
    for (const { tags } of days) for (const [name, count] of Object.entries(tags)) totals.set(name, (totals.get(name) ?? 0) + count);
    const names = [...totals.keys()].sort((a, b) => scheme.tag(a).order - scheme.tag(b).order);
    const shown = tag ? names.filter((name) => name === tag) : names;
    this.node = element("figure", { class: "plot" });
    if (!names.length) return;
    const top = Math.max(1, ...days.map(({ tags }) => shown.reduce((sum, name) => sum + (tags[name] ?? 0), 0)));
    const step = niceStep(top);
    const ceiling = Math.ceil(top / step) * step;
    const y = (count) => 6 + (HEIGHT - BOTTOM - 6) * (1 - count / ceiling);
    const slot = (WIDTH - LEFT) / days.length;
    const grid = Array.from({ length: ceiling / step + 1 }, (_, row) => [
      drawing("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(row * step), y2: y(row * step) }),
      drawing("text", { class: "label", x: LEFT - 6, y: y(row * step) + 4, "text-anchor": "end" }, String(row * step)),
    ]);
    const bars = days.map(({ day: date, tags }, at) => {
      let below = 0;
      const x = LEFT + at * slot;
      const pieces = shown
        .filter((name) => tags[name])
        .map((name) => {
          const from = y(below);
          below += tags[name];
          return drawing(
            "rect",
            { class: "piece", "data-tag": name, x: x + slot * 0.12, width: slot * 0.76, y: y(below), height: Math.max(0, from - y(below) - 0.6), vars: { "--hue": scheme.tag(name).hue } },
            drawing("title", {}, `${date}: ${scheme.tag(name).title} ${tags[name]}`),
          );
        });
      const hit = drawing(
        "rect",
        { class: date === day ? "day chosen" : "day", x, width: slot, y: 0, height: HEIGHT - BOTTOM, on: { click: () => choose({ day: date === day ? "" : date }) } },
        drawing("title", {}, `${date}: ${below} ${below === 1 ? "tag" : "tags"}`),
      );
      const every = Math.ceil(days.length / 8);
      const label = (days.length - 1 - at) % every === 0 && drawing("text", { class: "label", x: x + slot / 2, y: HEIGHT - 6, "text-anchor": "middle" }, short(date));
      return [hit, pieces, label || null];
    });
    const legend = names.map((name) =>
      element(
        "li",
        {},
        element(
          "button",
          {
            type: "button",
            class: "chip",
            "aria-pressed": String(name === tag),
            vars: { "--hue": scheme.tag(name).hue },
            on: {
              click: () => choose({ tag: name === tag ? "" : name }),
              mouseenter: () => this.#light(name),
              mouseleave: () => this.#light(null),
              focus: () => this.#light(name),
              blur: () => this.#light(null),
            },
          },
          scheme.tag(name).title,
          " ",
          element("span", { class: "score" }, String(totals.get(name))),
        ),
      ),
    );
    const caption = `Articles a day that carry each tag, ${days[0].day} to ${days.at(-1).day}`;
    this.node.append(
      element("figcaption", {}, caption),
      element("div", { class: "canvas" }, drawing("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${caption}. The table below holds the figures.` }, grid.flat(), bars.flat(2))),
      element("ul", { class: "chips legend", "aria-label": "Tags of the plot" }, legend),
      element("details", {}, element("summary", {}, "As a table"), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" }, table(days, shown, scheme, caption))),
    );
  }

  #light(name) {
    this.node.classList.toggle("dimmed", name !== null);
    for (const piece of this.node.querySelectorAll(".piece")) piece.classList.toggle("lit", piece.dataset.tag === name);
  }
}

function table(days, names, scheme, caption) {
  const head = element("tr", {}, element("th", { scope: "col" }, "Day"), names.map((name) => element("th", { scope: "col" }, scheme.tag(name).title)));
  const rows = days
    .filter(({ tags }) => names.some((name) => tags[name]))
    .map(({ day, tags }) => element("tr", {}, element("th", { scope: "row" }, day), names.map((name) => element("td", {}, String(tags[name] ?? 0)))));
  return element("table", {}, element("caption", { class: "unseen" }, caption), element("thead", {}, head), element("tbody", {}, rows));
}

const short = (day) => new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

function niceStep(top) {
  const rough = Math.max(1, top / 4);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}
