// Building of elements. Text goes in as text nodes alone: nothing that comes from an article is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `attributes` may hold `class`, `on` (listeners), `vars` (CSS variables), booleans and strings. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function drawing(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(made, { on = {}, vars = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, String(value));
  }
  for (const [event, listener] of Object.entries(on)) made.addEventListener(event, listener);
  for (const [name, value] of Object.entries(vars)) made.style.setProperty(name, String(value));
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

/** The arrow keys, Home and End move the focus among what `stops()` lists; one of them is in the tab order. */
export function rove(container, stops) {
  container.addEventListener("keydown", (event) => {
    const all = stops();
    const at = all.indexOf(event.target);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all[Math.max(0, Math.min(all.length - 1, to))].focus();
  });
  container.addEventListener("focusin", (event) => {
    const all = stops();
    if (all.includes(event.target)) for (const stop of all) stop.tabIndex = stop === event.target ? 0 : -1;
  });
  return () => {
    const all = stops();
    const first = all.find((stop) => stop === document.activeElement) ?? all[0];
    for (const stop of all) stop.tabIndex = stop === first ? 0 : -1;
  };
}
