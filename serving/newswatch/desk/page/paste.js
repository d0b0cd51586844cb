// The form that takes an article: title and text pasted, or fetched from an address where the service allows it.

import { post } from "/desk/api.js";
import { element } from "/desk/element.js";
import { bar } from "/desk/panel.js";
import { colour } from "/desk/scheme.js";

/** @param score called with {title, text, url, outlet} */
export function pasteForm(desk, draft, score) {
  const title = element("input", { id: "title", dir: "auto", autocomplete: "off", value: draft.title ?? "" });
  const text = element("textarea", { id: "text", dir: "auto", rows: "14", required: true, spellcheck: "false", "aria-describedby": "text-hint" });
  text.value = draft.text ?? "";
  const fault = element("p", { class: "error", role: "alert" });
  const source = new Source(text);
  if (draft.url) source.set(draft);

  const address = element("input", { id: "address", type: "url", placeholder: "https://", autocomplete: "off", disabled: !desk.info.fetch, "aria-labelledby": "address-title", "aria-describedby": "address-hint" });
  const load = async () => {
    if (fetching.disabled) return;
    fault.textContent = "";
    fetching.disabled = true;
    const before = [title.value, text.value];
    try {
      const page = await post("/v1/fetch", { url: address.value.trim() });
      if (!form.isConnected) return;
      if (title.value !== before[0] || text.value !== before[1]) {
        fault.textContent = "The page was not put in: title or text changed meanwhile.";
        return;
      }
      [title.value, text.value] = [page.title, page.text];
      source.set(page);
      desk.say("Text fetched.");
      text.focus();
    } catch (error) {
      fault.textContent = error.message;
    } finally {
      fetching.disabled = false;
    }
  };
  const fetching = element("button", { type: "button", class: "plain", disabled: !desk.info.fetch, on: { click: load } }, "Fetch");
  address.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    load();
  });
  const hint = desk.info.fetch
    ? "The service fetches the page and takes its text. Private addresses are refused."
    : "Off: nothing is fetched unless asked. Start the service with --fetch to turn it on.";

  const form = element(
    "form",
    {
      class: "paste",
      novalidate: true, // The address may hold anything while a text is scored.
      on: {
        submit: async (event) => {
          event.preventDefault();
          const busy = form.querySelector(".primary");
          if (busy.disabled) return;
          fault.textContent = text.value.trim() ? "" : "Paste a text first.";
          if (fault.textContent) return text.focus();
          busy.disabled = true;
          try {
            await score({ title: title.value, text: text.value, ...source.given });
          } catch (error) {
            fault.textContent = error.message;
          } finally {
            busy.disabled = false;
          }
        },
      },
    },
    element(
      "div",
      {},
      element("h1", {}, "Read an article"),
      element("label", { for: "title" }, "Title"),
      title,
      element("label", { for: "text" }, "Text"),
      text,
      element("p", { class: "hint", id: "text-hint" }, "English news text, pasted as it stands."),
      source.node,
      fault,
      element("div", { class: "row" }, element("button", { class: "primary" }, "Score ", element("kbd", { "aria-hidden": "true" }, "Ctrl ↵"))),
    ),
    element(
      "div",
      { class: "aside" },
      element(
        "section",
        {},
        element("h2", { id: "address-title" }, "Or take the text of a web page"),
        element("div", { class: "row" }, address, fetching),
        element("p", { class: "hint", id: "address-hint" }, hint),
      ),
      legend(desk.scheme),
    ),
  );
  return form;
}

/** The page that the text comes from. It is shown, can be taken off, and goes by itself once no line of the page is left. */
class Source {
  #lines = [];

  constructor(text) {
    this.text = text;
    this.node = element("p", { class: "hint source" });
    text.addEventListener("input", () => this.#lines.some((line) => text.value.includes(line)) || this.#remove());
    this.#remove();
  }

  /** @param page {url, outlet}; the text is already in its field */
  set({ url, outlet }) {
    this.given = { url, outlet };
    this.#lines = this.text.value.split("\n").filter((line) => line.trim());
    const remove = () => (this.#remove(), this.text.focus());
    this.node.replaceChildren(`Source: ${url} `, element("button", { type: "button", class: "plain", on: { click: remove } }, "Remove"));
  }

  #remove() {
    this.given = { url: null, outlet: "" };
    this.#lines = [];
    this.node.replaceChildren();
  }
}

/** How to read a tag's bar. */
function legend(scheme) {
  const tag = scheme.tags[0];
  const term = (sign, text) => [element("dt", {}, element("span", { class: sign })), element("dd", {}, text)];
  return element(
    "section",
    {},
    element("h2", {}, "How to read the bars"),
    element("div", { class: "tag applies", vars: colour(tag) }, bar(tag, 0.86)),
    element(
      "dl",
      {},
      term("fill-sign", "the probability that the article carries the tag"),
      term("tick-sign", "the threshold from which it is carried"),
      term("band-sign", "the review band, in which a person should look"),
    ),
  );
}
