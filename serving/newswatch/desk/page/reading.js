// One article being read or reviewed: its text beside its tags, each lighting up the other.

import { ArticleText } from "/desk/article.js";
import { post } from "/desk/api.js";
import { element } from "/desk/element.js";
import { TagPanel } from "/desk/panel.js";
import { articleLine } from "/desk/feed.js";

const REVIEWER = "newswatch-reviewer";

export class Reading {
  /**
   * @param given {article, sentences, prediction, review}; `article.id` is null for a pasted one that is not stored
   * @param desk {scheme, info, reading, say(message), reviewed(reading)}
   */
  constructor({ article, sentences, prediction, review }, desk) {
    Object.assign(this, { article, sentences, prediction, review, desk });
    this.editing = false;
    this.saving = false;
    this.held = null;
    this.text = new ArticleText(article, sentences, desk.scheme, {
      over: (index) => this.#over(index),
      toggle: (index) => this.#toggle(index),
      mark: (indices) => this.#mark(indices),
    });
    this.panel = new TagPanel(prediction, desk.scheme, {
      over: (tag) => this.#light(tag ?? this.held),
      press: (tag) => this.#hold(this.held === tag && !this.editing ? null : tag),
      apply: (tag, applies) => this.#apply(tag, applies),
    });
    this.actions = element("div", { class: "actions" });
    this.node = element(
      "div",
      { class: "reading" },
      element("aside", { class: "side", "aria-label": "Tags" }, this.actions, this.panel.node),
      element("article", { class: "paper" }, articleLine(article), this.text.node),
    );
    this.#reset();
  }

  /** Correct tags and evidence. */
  edit() {
    if (this.editing || this.saving || !this.desk.info.database) return;
    this.editing = true;
    this.text.editing = true;
    this.node.classList.add("editing");
    const first = this.marked.keys().next().value ?? this.panel.prediction.review[0] ?? this.desk.scheme.tags[0].name;
    this.#draw();
    this.#hold(first);
    this.panel.node.querySelector('.tag > button[aria-pressed="true"]')?.focus();
  }

  /** Store the tags and evidence as they are shown. */
  accept() {
    if (this.editing || !this.desk.info.database) return undefined;
    return this.#save();
  }

  save() {
    return this.editing ? this.#save() : undefined;
  }

  /** Let go of a tag, or leave the review without saving; false if there was nothing to leave. */
  escape() {
    if (!this.editing && this.held === null) return false;
    if (this.editing) this.#reset();
    else this.#hold(null);
    return true;
  }

  swapFocus() {
    if (this.panel.node.contains(document.activeElement)) this.text.focusFirst();
    else this.panel.focusFirst();
  }

  #reset() {
    this.editing = false;
    this.text.editing = false;
    this.held = null;
    this.node.classList.remove("editing");
    this.marked = this.review ? this.#reviewed() : this.#predicted();
    this.#draw();
    this.#hold(null);
  }

  #predicted() {
    const found = Object.entries(this.prediction.evidence).map(([tag, evidence]) => [
      tag,
      new Set(evidence.map((e) => this.sentences.findIndex((s) => s.field === e.field && s.start <= e.start && e.start < s.end)).filter((at) => at >= 0)),
    ]);
    return new Map(found);
  }

  #reviewed() {
    const found = Object.entries(this.review.tags).map(([tag, evidence]) => [tag, new Set(evidence.flatMap((words) => this.#places(words)))]);
    return new Map(found);
  }

  /** The sentences that evidence names; words that are no whole sentence of this text name those that they share. */
  #places(words) {
    const where = (fits) => this.text.spans.flatMap(({ textContent: own }, index) => (fits(own) ? [index] : []));
    const same = where((own) => own === words);
    return same.length ? same : where((own) => own.includes(words) || words.includes(own));
  }

  #draw() {
    const { scores } = this.prediction;
    const tags = [...this.marked.keys()].sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
    const numbers = new Map(tags.map((tag, at) => [tag, at + 1]));
    this.text.paint(new Map(tags.map((tag) => [tag, this.marked.get(tag)])), numbers);
    this.panel.draw(this.marked, numbers, this.editing, this.review);
    this.panel.press(this.held);
    if (this.drawn !== this.editing) this.#drawActions();
    this.drawn = this.editing;
    this.#light(this.held);
  }

  #drawActions() {
    const { database } = this.desk.info;
    if (this.editing) return this.actions.replaceChildren(this.#form());
    // The second click of a double one may fall on the next article.
    const button = (text, key, run, kind) =>
      element("button", { type: "button", class: kind, disabled: !database, on: { click: (event) => event.detail < 2 && run() } }, text, " ", element("kbd", { "aria-hidden": "true" }, key));
    this.actions.replaceChildren(
      button("Accept", "a", () => this.accept(), "plain"),
      button("Correct", "e", () => this.edit(), "plain"),
      ...(database ? [] : [element("p", { class: "hint" }, "Reviews need a database: start the service with --database newswatch.db.")]),
      ...(this.review ? [element("p", { class: "hint" }, `Reviewed by ${this.review.reviewer || "somebody"}; shown as reviewed.`)] : []),
    );
    return undefined;
  }

  #form() {
    this.hint = element("p", { class: "hint", role: "status" });
    this.fault = element("p", { class: "error", role: "alert" });
    this.reviewer = element("input", { id: "reviewer", autocomplete: "name", maxlength: "100", value: localStorage.getItem(REVIEWER) ?? "" });
    this.note = element("input", { id: "note", maxlength: "2000", autocomplete: "off", value: this.review?.note ?? "" });
    return element(
      "form",
      { class: "review-form", on: { submit: (event) => (event.preventDefault(), this.#save()) } },
      this.hint,
      element("label", { for: "reviewer" }, "Your name"),
      this.reviewer,
      element("label", { for: "note" }, "Note"),
      this.note,
      this.fault,
      element(
        "div",
        { class: "row" },
        element("button", { class: "primary" }, "Save review"),
        element("button", { type: "button", class: "plain", on: { click: () => this.escape() } }, "Cancel"),
      ),
    );
  }

  #over(index) {
    if (this.editing) return;
    const tags = index === null ? [] : this.text.tagsOf[index];
    this.panel.light(tags.length ? tags : this.held === null ? null : [this.held]);
    this.text.spans.forEach((span, at) => span.classList.toggle("pointed", at === index && tags.length > 0));
  }

  #light(tag) {
    const shown = this.editing ? this.held : tag;
    this.text.light(shown);
    this.panel.light(shown === null || this.editing ? null : [shown]);
  }

  #hold(tag) {
    this.held = tag;
    this.panel.press(tag);
    this.#light(tag);
    if (this.editing && tag !== null)
      this.hint.replaceChildren("Marking for ", element("b", {}, this.desk.scheme.tag(tag).title), ": click sentences, or select text.");
  }

  #apply(tag, applies) {
    if (applies) this.marked.set(tag, this.#predicted().get(tag) ?? new Set());
    else this.marked.delete(tag);
    this.held = applies ? tag : this.held;
    this.#draw();
    if (applies) this.#hold(tag);
  }

  #toggle(index) {
    if (!this.editing) {
      const tags = this.text.tagsOf[index];
      if (tags.length) this.#hold(tags[(tags.indexOf(this.held) + 1) % (tags.length + 1)] ?? null);
      return;
    }
    const marked = this.marked.get(this.held) ?? new Set();
    if (!marked.delete(index)) marked.add(index);
    if (marked.size) this.marked.set(this.held, marked);
    else this.marked.delete(this.held);
    this.#draw();
  }

  #mark(indices) {
    if (!indices.length) return;
    this.marked.set(this.held, new Set([...(this.marked.get(this.held) ?? []), ...indices]));
    this.#draw();
  }

  /** One at a time: a second press would store a second review. */
  async #save() {
    if (this.saving) return;
    this.saving = true;
    try {
      if (await this.#store()) await this.desk.reviewed(this);
    } finally {
      this.saving = false;
    }
  }

  /** Store the review; whether it was stored. */
  async #store() {
    const lacking = [...this.marked].filter(([, found]) => !found.size).map(([tag]) => this.desk.scheme.tag(tag).title);
    if (lacking.length) return this.#unsaved(`Mark at least one sentence for ${lacking.join(", ")}, or untick it.`);
    try {
      this.review = await this.#post();
    } catch (error) {
      return this.#unsaved(error.message);
    }
    this.drawn = null;
    this.#reset();
    return true;
  }

  async #post() {
    const reviewer = this.editing ? this.reviewer.value.trim() : (localStorage.getItem(REVIEWER) ?? "");
    const note = this.editing ? this.note.value.trim() : (this.review?.note ?? "");
    if (this.editing) localStorage.setItem(REVIEWER, reviewer);
    const tags = Object.fromEntries(
      [...this.marked].map(([tag, found]) => [tag, [...found].sort((a, b) => a - b).map((index) => this.text.spans[index].textContent)]),
    );
    if (this.article.id === null) {
      const { title, text, url, outlet } = this.article;
      this.article.id = (await post("/v1/articles", { title, text, url, outlet })).id;
    }
    return post("/v1/reviews", { article: this.article.id, reviewer, tags, note });
  }

  /** Say why in the form, or in the status line where the form is closed or no longer on the page. */
  #unsaved(message) {
    if (this.editing && this.desk.reading === this) this.fault.textContent = message;
    else this.desk.say(`Review not saved: ${message}`);
    return false;
  }
}
