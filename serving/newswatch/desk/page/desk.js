// The desk: which view is shown, and what the keys do.

import { get, post } from "/desk/api.js";
import { element } from "/desk/element.js";
import { newest, queue } from "/desk/feed.js";
import { listenKeys } from "/desk/keys.js";
import { pasteForm } from "/desk/paste.js";
import { Reading } from "/desk/reading.js";
import { Scheme } from "/desk/scheme.js";

const main = document.getElementById("main");
const status = document.getElementById("status");

// Counts the views asked for: an answer that comes when another view was asked for is dropped.
let turn = 0;

const desk = {
  info: { database: false, fetch: false },
  scheme: null,
  draft: {},
  reading: null,
  from: null,

  /** Show a message for a while; `shown` false: for screen readers alone, where the page shows the same. */
  say(message, shown = true) {
    status.classList.toggle("unseen", !shown);
    status.textContent = "";
    // A live region speaks when its text changes, so the same message twice needs the gap.
    setTimeout(() => (status.textContent = message), 30);
    clearTimeout(desk.silence);
    desk.silence = setTimeout(() => (status.textContent = ""), 6000);
  },

  async reviewed(reading) {
    desk.say("Review saved.");
    const waiting = await countWaiting();
    if (desk.from !== "review" || desk.reading !== reading) return;
    if (waiting.length) location.hash = `#/article/${encodeURIComponent(waiting[0].id)}?from=review`;
    else location.hash = "#/review";
  },
};

const views = {
  async read() {
    const form = pasteForm(desk, desk.draft, async (given) => {
      const mine = turn;
      desk.draft = given;
      const article = { ...given, id: null };
      const asked = { title: given.title || null, text: given.text };
      const [scored, split] = await Promise.all([post("/v1/score", { articles: [asked] }), post("/v1/sentences", asked)]);
      if (mine !== turn) return;
      show(reading({ article, sentences: split.sentences, prediction: scored.predictions[0], review: null }), "read");
      desk.say(told(scored.predictions[0]), false);
      main.focus({ preventScroll: true });
    });
    return [form];
  },

  newest: (filters) => newest(desk, filters),

  review: () => queue(desk),

  async article(parameters, id) {
    const mine = turn;
    const stored = await get(`/v1/articles/${encodeURIComponent(id)}`);
    if (mine !== turn) return [];
    desk.from = parameters.from ?? null;
    const back = desk.from === "review" ? ["#/review", "← For review"] : ["#/newest", "← Newest"];
    const link = element("a", { class: "back", href: back[0] }, back[1]);
    if (!stored.prediction) return [link, element("p", { class: "empty" }, "This article is not scored yet.")];
    return [link, ...reading({ ...stored, article: stored })];
  },
};

function reading(given) {
  desk.reading = new Reading(given, desk);
  if (given.article.id !== null) return [desk.reading.node];
  const again = element("button", { type: "button", class: "back", on: { click: route } }, "← Change the text");
  const fresh = element("button", { type: "button", class: "back", on: { click: startAnew } }, "New article");
  return [element("div", {}, again, fresh), desk.reading.node];
}

function told(prediction) {
  const titles = prediction.tags.map((tag) => desk.scheme.tag(tag).title);
  const review = prediction.review.length ? ` ${prediction.review.length} for review.` : "";
  return titles.length ? `${titles.join(", ")}.${review}` : `No tag.${review}`;
}

function startAnew() {
  desk.draft = {};
  if (location.hash === "#/read") route().then(() => document.getElementById("text")?.focus());
  else location.hash = "#/read";
}

function show(nodes, view) {
  const focused = document.activeElement?.id;
  main.replaceChildren(...nodes);
  // A filter rebuilds its view; who is choosing goes on from where they are.
  document.getElementById(focused)?.focus({ preventScroll: true });
  main.dataset.view = view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
}

async function route() {
  const mine = ++turn;
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = (path || "read").split("/");
  desk.reading = null;
  desk.from = null;
  let nodes;
  try {
    const view = Object.hasOwn(views, name) ? views[name] : views.read;
    nodes = await view(Object.fromEntries(new URLSearchParams(query)), decodeURIComponent(rest.join("/")));
  } catch (error) {
    nodes = [element("p", { class: "empty error", role: "alert" }, error.message)];
  }
  if (mine !== turn) return;
  show(nodes, name === "article" ? (desk.from ?? "newest") : name);
  // At the start the focus stays at the top, so that Tab finds the skip link first.
  if (document.documentElement.dataset.ready && document.activeElement === document.body) main.focus({ preventScroll: true });
}

async function countWaiting() {
  const badge = document.getElementById("waiting");
  if (!desk.info.database) return [];
  const { articles } = await get("/v1/queue", { limit: 100 }).catch(() => ({ articles: [] }));
  badge.hidden = !articles.length;
  badge.textContent = articles.length < 100 ? String(articles.length) : "99+";
  badge.setAttribute("aria-label", `${articles.length} waiting`);
  return articles;
}

function turnTheme() {
  const now = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  localStorage.setItem("newswatch-theme", document.documentElement.dataset.theme);
}

const openHelp = () => document.getElementById("help-dialog").showModal();
const go = (hash) => () => (location.hash = hash);

/** A stray key must not drop the marks of a review. */
const unlessEditing = (leave) => () => (desk.reading?.editing ? desk.say("Save or cancel the review first.") : leave());

listenKeys({
  submit() {
    if (desk.reading) desk.reading.save();
    else document.querySelector("form.paste")?.requestSubmit();
  },
  escape: () => desk.reading?.escape(),
  single: {
    n: unlessEditing(startAnew),
    f: unlessEditing(go("#/newest")),
    q: unlessEditing(go("#/review")),
    t: turnTheme,
    e: () => desk.reading?.edit(),
    a: () => desk.reading?.accept(),
    g: () => desk.reading?.swapFocus(),
    j: () => step("ArrowDown"),
    k: () => step("ArrowUp"),
    "/": () => document.querySelector(".filters select")?.focus(),
    "?": openHelp,
  },
});

/** j and k do in a list what the arrows do; from outside they enter it. */
function step(key) {
  const inside = document.activeElement?.matches("a.open, .tag > button, .sentence");
  if (inside) document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  else main.querySelector("a.open, .tag > button")?.focus();
}

document.getElementById("theme").addEventListener("click", turnTheme);
document.getElementById("help").addEventListener("click", openHelp);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", route);
addEventListener("beforeunload", (event) => {
  if (desk.reading?.editing) event.preventDefault();
});

async function start() {
  try {
    desk.info = await get("/v1/desk");
    desk.scheme = await Scheme.load();
  } catch (error) {
    main.replaceChildren(element("p", { class: "empty error", role: "alert" }, error.message));
    return;
  }
  document.getElementById("model").textContent = desk.scheme.model;
  await Promise.all([route(), countWaiting()]);
  document.documentElement.dataset.ready = "true";
}

start();
