// The tags of an article: probability, threshold, review band; in a review also whether the tag applies.

import { element, rove } from "/desk/element.js";
import { colour, percent, standing, twoPlaces } from "/desk/scheme.js";

export class TagPanel {
  /** @param events {over(tag|null), press(tag), apply(tag, boolean)} */
  constructor(prediction, scheme, events) {
    this.prediction = prediction;
    this.scheme = scheme;
    this.events = events;
    this.node = element("div", { class: "panel", role: "group", "aria-label": "Tags. Arrow keys move between them." });
    this.settle = rove(this.node, () => [...this.node.querySelectorAll(".tag > button")].filter((button) => !button.closest("details:not([open])")));
    const tagOf = (target) => target.closest?.(".tag")?.dataset.tag ?? null;
    this.node.addEventListener("mouseover", (event) => events.over(tagOf(event.target)));
    this.node.addEventListener("mouseleave", () => events.over(null));
    this.node.addEventListener("focusin", (event) => events.over(tagOf(event.target)));
    this.node.addEventListener("focusout", () => events.over(null));
  }

  /**
   * @param marked Map of tag name to Set of sentence numbers: what applies
   * @param numbers Map of tag name to footnote number
   * @param editing whether a review is being written
   * @param review the stored review, or null
   */
  draw(marked, numbers, editing, review) {
    const focused = document.activeElement?.closest?.(".tag")?.dataset.tag;
    const box = document.activeElement?.matches?.(".tag input");
    const { scores } = this.prediction;
    const { tags: applying, unsure: near } = standing(this.prediction, review);
    const sorted = Object.keys(scores).sort((a, b) => scores[b] - scores[a] || this.scheme.tag(a).order - this.scheme.tag(b).order);
    const carried = sorted.filter((tag) => applying.includes(tag));
    const unsure = sorted.filter((tag) => !carried.includes(tag) && near.includes(tag));
    const rest = sorted.filter((tag) => !carried.includes(tag) && !near.includes(tag));
    const rows = (tags) => element("ol", {}, tags.map((tag) => this.#row(tag, marked, numbers, editing, near.includes(tag))));
    const group = (title, tags, note) => [element("h3", {}, title), tags.length ? rows(tags) : element("p", { class: "none" }, note)];
    this.node.replaceChildren(
      ...group("Carried", carried, "No tag."),
      ...(unsure.length ? group("Not carried, but near", unsure) : []),
      rest.length ? this.#folded("Not carried", rest.length, rows(rest)) : "",
      element(
        "p",
        { class: "legend" },
        element("span", { class: "tick-sign", "aria-hidden": "true" }),
        " threshold ",
        element("span", { class: "band-sign", "aria-hidden": "true" }),
        " review band: a person should look",
      ),
    );
    this.settle();
    if (focused) this.node.querySelector(`.tag[data-tag="${CSS.escape(focused)}"] ${box ? "input" : "> button"}`)?.focus();
  }

  /** On a narrow screen the text should not lie below all the tags that do not apply. */
  #folded(title, count, content) {
    this.unfolded ??= matchMedia("(min-width: 60.01rem)").matches;
    const summary = element("summary", {}, `${title} (${count})`);
    const made = element("details", { open: this.unfolded }, summary, content);
    made.addEventListener("toggle", () => (this.unfolded = made.open));
    return made;
  }

  #row(name, marked, numbers, editing, review) {
    const tag = this.scheme.tag(name);
    const score = this.prediction.scores[name];
    const applies = marked.has(name);
    const count = marked.get(name)?.size ?? 0;
    const facts = tag.threshold === undefined ? "" : `, threshold ${twoPlaces(tag.threshold)}${review ? ", for review" : ""}`;
    return element(
      "li",
      { class: `tag${applies ? " applies" : ""}${review ? " review" : ""}`, "data-tag": name, vars: colour(tag) },
      editing &&
        element("input", {
          type: "checkbox",
          "aria-label": `${tag.title} applies`,
          checked: applies,
          on: { change: (event) => this.events.apply(name, event.target.checked) },
        }),
      element(
        "button",
        {
          type: "button",
          "aria-pressed": "false",
          "aria-label": `${tag.title}, probability ${twoPlaces(score)}${facts}${editing && applies ? `, ${count} marked` : ""}`,
          title: tag.definition,
          on: { click: () => this.events.press(name) },
        },
        element("span", { class: "number" }, String(numbers.get(name) ?? "")),
        element("span", { class: "title" }, tag.title),
        editing && applies && element("span", { class: `count${count ? "" : " lacking"}` }, count ? `${count} marked` : "mark a sentence"),
        !editing && review && element("span", { class: "flag" }, "review"),
        element("span", { class: "score" }, twoPlaces(score)),
        bar(tag, score),
      ),
    );
  }

  light(names) {
    this.node.classList.toggle("dimmed", names !== null);
    for (const row of this.node.querySelectorAll(".tag")) row.classList.toggle("lit", names !== null && names.includes(row.dataset.tag));
  }

  press(name) {
    for (const row of this.node.querySelectorAll(".tag"))
      row.querySelector("button").setAttribute("aria-pressed", String(row.dataset.tag === name));
  }

  focusFirst() {
    this.node.querySelector('.tag > button[tabindex="0"]')?.focus();
  }
}

export function bar(tag, score) {
  const known = tag.threshold !== undefined;
  return element(
    "span",
    { class: "bar", "aria-hidden": "true" },
    element("span", { class: "fill", vars: { "--share": percent(score) } }),
    known && element("span", { class: "band", vars: { "--from": percent(tag.review_low), "--width": percent(tag.review_high - tag.review_low) } }),
    known && element("span", { class: "tick", vars: { "--from": percent(tag.threshold) } }),
  );
}
