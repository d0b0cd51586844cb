// The article's text, sentence by sentence, with the sentences that carry a tag marked.

import { CodePoints } from "/desk/codepoints.js";
import { element, rove } from "/desk/element.js";
import { colour } from "/desk/scheme.js";

export class ArticleText {
  /**
   * @param article {title, text}
   * @param sentences [{field, start, end}] in reading order, offsets in code points
   * @param events {over(index|null), toggle(index), mark([index])}
   */
  constructor(article, sentences, scheme, events) {
    this.scheme = scheme;
    this.events = events;
    this.editing = false;
    this.spans = sentences.map((sentence, index) => this.#sentence(article, sentence, index));
    this.notes = sentences.map(() => element("span", { class: "notes" }));
    this.tagsOf = sentences.map(() => []);
    const heading = element("h1", { class: "headline", dir: "auto" }, ...this.#flow(article.title, sentences, "title").flat());
    const body = this.#flow(article.text, sentences, "text").map((nodes) => element("p", { dir: "auto" }, ...nodes));
    this.node = element("div", { class: "text", role: "group", "aria-label": "Article. Arrow keys move between its sentences." });
    if (article.title) this.node.append(heading);
    this.node.append(element("div", { class: "body" }, ...body));
    this.settle = rove(this.node, () => this.spans.filter((span) => span.hasAttribute("tabindex")));
    this.#listen();
  }

  #sentence(article, { field, start, end }, index) {
    this.points ??= { title: new CodePoints(article.title), text: new CodePoints(article.text) };
    return element("span", { class: "sentence", "data-index": index }, this.points[field].slice(start, end));
  }

  /** The nodes of one field, a list a paragraph; what lies between sentences stays where it was. */
  #flow(text, sentences, field) {
    const points = this.points?.[field] ?? new CodePoints(text);
    const paragraphs = [[]];
    let at = 0;
    const between = (end) => {
      const gap = points.slice(at, end);
      const lines = gap.split(/\r\n|[\n\r\v\f\u0085\u2028\u2029]/);
      lines.forEach((line, number) => {
        if (number && paragraphs.at(-1).length) paragraphs.push([]);
        if (line) paragraphs.at(-1).push(document.createTextNode(line));
      });
    };
    sentences.forEach((sentence, index) => {
      if (sentence.field !== field) return;
      between(sentence.start);
      paragraphs.at(-1).push(this.spans[index], this.notes[index]);
      at = sentence.end;
    });
    between(points.length);
    return paragraphs.filter((nodes) => nodes.length);
  }

  /** @param marked Map of tag name to Set of sentence numbers, @param numbers Map of tag name to its footnote number */
  paint(marked, numbers) {
    this.tagsOf = this.spans.map((_, index) => [...marked].filter(([, found]) => found.has(index)).map(([tag]) => tag));
    this.spans.forEach((span, index) => {
      const tags = this.tagsOf[index];
      const stop = this.editing || tags.length > 0;
      span.classList.toggle("marked", tags.length > 0);
      if (stop) span.tabIndex = -1;
      else span.removeAttribute("tabindex");
      if (this.editing) span.setAttribute("role", "checkbox");
      else span.removeAttribute("role");
      underline(span, tags.map((tag) => this.scheme.tag(tag)));
      this.notes[index].replaceChildren(
        ...tags.map((tag) =>
          element(
            "sup",
            { vars: colour(this.scheme.tag(tag)), title: this.scheme.tag(tag).title },
            element("span", { "aria-hidden": "true" }, String(numbers.get(tag) ?? "")),
            element("span", { class: "unseen" }, ` [${this.scheme.tag(tag).title}] `),
          ),
        ),
      );
    });
    this.settle();
  }

  /** Light up the sentences of one tag and dim the others; null lights all. */
  light(tag) {
    this.node.classList.toggle("dimmed", tag !== null);
    this.spans.forEach((span, index) => {
      const lit = tag !== null && this.tagsOf[index].includes(tag);
      span.classList.toggle("lit", lit);
      const shown = lit ? tag : this.tagsOf[index][0];
      if (shown) for (const [name, value] of Object.entries(colour(this.scheme.tag(shown)))) span.style.setProperty(name, value);
      if (this.editing) span.setAttribute("aria-checked", String(lit));
      else span.removeAttribute("aria-checked");
    });
  }

  focusFirst() {
    this.spans.find((span) => span.tabIndex === 0)?.focus();
  }

  #listen() {
    const index = (target) => target.closest?.(".sentence")?.dataset.index;
    let dragged = false;
    const over = (event) => this.events.over(index(event.target) === undefined ? null : Number(index(event.target)));
    this.node.addEventListener("mouseover", over);
    this.node.addEventListener("mouseleave", () => this.events.over(null));
    this.node.addEventListener("focusin", over);
    this.node.addEventListener("focusout", () => this.events.over(null));
    this.node.addEventListener("keydown", (event) => {
      if ((event.key === "Enter" || event.key === " ") && !event.ctrlKey && !event.metaKey && index(event.target) !== undefined) {
        event.preventDefault();
        this.events.toggle(Number(index(event.target)));
      }
    });
    this.node.addEventListener("mouseup", () => {
      const selection = getSelection();
      dragged = this.editing && !selection.isCollapsed;
      if (!dragged) return;
      this.events.mark(this.spans.flatMap((span, number) => (selection.containsNode(span, true) ? [number] : [])));
      selection.removeAllRanges();
    });
    this.node.addEventListener("click", (event) => {
      if (!dragged && index(event.target) !== undefined) this.events.toggle(Number(index(event.target)));
      dragged = false;
    });
  }
}

function underline(span, tags) {
  const shown = tags.slice(0, 3);
  span.style.backgroundImage = shown.map((tag) => `linear-gradient(${ink(tag)}, ${ink(tag)})`).join(", ");
  span.style.backgroundPosition = shown.map((_, row) => `0 calc(100% - ${3 * row}px)`).join(", ");
  span.style.backgroundSize = shown.map(() => "100% 2px").join(", ");
  span.style.setProperty("--rows", shown.length);
}

const ink = ({ hue, shade }) => `light-dark(oklch(${shade.light} ${shade.chroma} ${hue}), oklch(${shade.dark} ${shade.chroma} ${hue}))`;
