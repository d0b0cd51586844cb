// Single-key shortcuts. They rest while one types, and can be turned off.

const SETTING = "newswatch-single-keys";

export function listenKeys(actions) {
  const box = document.getElementById("single-keys");
  box.checked = localStorage.getItem(SETTING) !== "off";
  box.addEventListener("change", () => localStorage.setItem(SETTING, box.checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return run(event, actions.submit);
    if (event.key === "Escape") return run(event, actions.escape);
    const typing = event.target.matches?.("textarea, select, input:not([type=checkbox])");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !box.checked) return;
    if (Object.hasOwn(actions.single, event.key)) run(event, actions.single[event.key]);
  });
}

/** A held key acts once: `a` would else accept article after article unread. */
function run(event, action) {
  event.preventDefault();
  if (!event.repeat) action();
}
