// The newest articles, with filters and the plot above them; and the queue of those that a person should look at.

import { get } from "/desk/api.js";
import { element, rove } from "/desk/element.js";
import { Plot } from "/desk/plot.js";
import { colour, standing, twoPlaces } from "/desk/scheme.js";

const PAGE = 20;
const DAYS = 30;

/** A line of outlet, day and address above an article; only web addresses become links. */
export function articleLine(article) {
  const parts = [];
  if (article.outlet) parts.push(element("span", { class: "outlet", dir: "auto" }, article.outlet));
  if (article.time) parts.push(element("time", { datetime: article.time }, day(article.time)));
  if (URL.canParse(article.url ?? "") && ["http:", "https:"].includes(new URL(article.url).protocol))
    parts.push(element("a", { href: article.url, target: "_blank", rel: "noopener noreferrer" }, "source"));
  if (article.id) parts.push(element("span", { class: "id" }, article.id));
  return element("p", { class: "line" }, parts);
}

const day = (time) => new Date(time).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

/** What a list shows of an article; in the queue its tags in the review band come first and alone. */
function item(article, scheme, queue) {
  const { tags, unsure } = standing(article.prediction, article.review);
  const scores = article.prediction?.scores ?? {};
  const shown = (queue ? unsure : tags).map((name) => scheme.tag(name)).sort((a, b) => (scores[b.name] ?? 0) - (scores[a.name] ?? 0));
  const chips = shown.map((tag) =>
    element(
      "li",
      { vars: colour(tag), class: unsure.includes(tag.name) ? "chip review" : "chip" },
      tag.title,
      " ",
      element("span", { class: "score" }, twoPlaces(scores[tag.name] ?? 0)),
    ),
  );
  return element(
    "li",
    { class: "item" },
    element(
      "a",
      { class: "open", href: `#/article/${encodeURIComponent(article.id)}${queue ? "?from=review" : ""}`, dir: "auto" },
      article.title || article.lead.slice(0, 90) || article.id,
    ),
    articleLine({ ...article, id: null }),
    article.title && element("p", { class: "lead", dir: "auto" }, article.lead),
    element("ul", { class: "chips", "aria-label": "Tags" }, chips.length ? chips : element("li", { class: "none" }, article.prediction || article.review ? "no tag" : "not scored")),
    article.review && element("span", { class: "flag done" }, "reviewed"),
  );
}

function list(label, items) {
  const made = element("ol", { class: "items", "aria-label": label }, items);
  rove(made, () => [...made.querySelectorAll("a.open")]);
  return made;
}

const NO_DATABASE = () =>
  element(
    "div",
    { class: "empty" },
    element("p", {}, "This service keeps no articles: it was started without a database."),
    element("p", {}, "Start it with ", element("code", {}, "newswatch serve --database newswatch.db"), " to keep what is scored and reviewed."),
  );

/** A day picked by mouse counts at once; a typed one at Enter or when the field is left: each digit of its year makes a day. */
function dayFilter(day, choose) {
  const field = element("input", { id: "filter-day", type: "date", value: day });
  let typed = false;
  const chosen = () => choose(field.value);
  field.addEventListener("keydown", (event) => (event.key === "Enter" ? chosen() : (typed = true)));
  field.addEventListener("change", () => typed || chosen());
  // A field that is taken off the page loses the focus too; by then another view is shown.
  field.addEventListener("blur", () => setTimeout(() => typed && field.isConnected && chosen()));
  return field;
}

export async function newest(desk, filters) {
  if (!desk.info.database) return [element("h1", {}, "Newest"), NO_DATABASE()];
  const { tag = "", outlet = "", day = "" } = filters;
  const [page, outlets, counts] = await Promise.all([
    get("/v1/articles", { tag, outlet, day, limit: PAGE }),
    get("/v1/outlets"),
    get("/v1/counts", { days: DAYS }),
  ]);
  const go = (change) => {
    const next = Object.entries({ tag, outlet, day, ...change }).filter(([, value]) => value);
    location.hash = `#/newest${next.length ? `?${new URLSearchParams(next)}` : ""}`;
  };
  const option = (value, text, chosen) => element("option", { value, selected: value === chosen }, text);
  const field = (name, label, control) => element("label", { class: "field" }, element("span", {}, label), control);
  const change = (name) => ({ change: (event) => go({ [name]: event.target.value }) });
  const dayField = dayFilter(day, (chosen) => go({ day: chosen }));
  const form = element(
    "form",
    { class: "filters", role: "search", "aria-label": "Filters", on: { submit: (event) => event.preventDefault() } },
    field("tag", "Tag", element("select", { id: "filter-tag", on: change("tag") }, option("", "all tags", tag), desk.scheme.tags.map((t) => option(t.name, t.title, tag)))),
    field("outlet", "Outlet", element("select", { id: "filter-outlet", on: change("outlet") }, option("", "all outlets", outlet), Object.keys(outlets.outlets).filter(Boolean).map((name) => option(name, name, outlet)))),
    field("day", "Day", dayField),
    (tag || outlet || day) && element("button", { type: "button", id: "filter-none", class: "plain", on: { click: () => go({ tag: "", outlet: "", day: "" }) } }, "All articles"),
  );
  const plot = new Plot(counts.days, desk.scheme, { tag, day, choose: go });
  const items = list("Newest articles", page.articles.map((article) => item(article, desk.scheme, false)));
  const more = element("button", { type: "button", class: "plain more", hidden: !page.next }, "Older articles");
  let next = page.next;
  more.addEventListener("click", async () => {
    more.disabled = true;
    const older = await get("/v1/articles", { tag, outlet, day, limit: PAGE, before: next }).catch((error) => desk.say(error.message));
    more.disabled = false;
    if (!older) {
      more.focus();
      return;
    }
    const made = older.articles.map((article) => item(article, desk.scheme, false));
    items.append(...made);
    made[0]?.querySelector("a.open").focus();
    next = older.next;
    more.hidden = !next;
    desk.say(`${made.length} older articles.`);
  });
  const nothing = page.articles.length ? null : element("p", { class: "empty" }, tag || outlet || day ? "No article matches." : "No article yet.");
  return [element("h1", {}, "Newest"), form, plot.node, ...(nothing ? [nothing] : [items, more])];
}

export async function queue(desk) {
  const heading = element("h1", {}, "For review");
  if (!desk.info.database) return [heading, NO_DATABASE()];
  const { articles } = await get("/v1/queue", { limit: 100 });
  if (!articles.length) return [heading, element("p", { class: "empty" }, "Nothing waits for review.")];
  const told = "Articles with a tag so near its threshold that a person should look. Open one, then accept or correct its tags.";
  return [heading, element("p", { class: "told" }, told), list("Articles for review", articles.map((article) => item(article, desk.scheme, true)))];
}
