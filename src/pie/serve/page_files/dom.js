// Elements and words. What comes from the cluster is only ever text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** Make an element: `h("a.button", {href}, "text", child)`. Null children are left out. */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return fill(document.createElement(tag), classes, attributes, children);
}

/** Make an SVG element. */
export function s(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return fill(document.createElementNS(SVG, tag), classes, attributes, children);
}

function fill(element, classes, attributes, children) {
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Replace what an element holds, if it is not the same; the focus stays on the element of the same id. */
export function put(parent, ...children) {
  const next = h("div", {}, children);
  const same = (node, index) => node.isEqualNode(parent.childNodes[index]);
  if (next.childNodes.length === parent.childNodes.length && [...next.childNodes].every(same)) return;
  const focused = parent.contains(document.activeElement) ? document.activeElement.id : "";
  parent.replaceChildren(...next.childNodes);
  if (focused) byId(focused)?.focus({ preventScroll: true });
}

/** Set a text, if it is not the same: what is announced when it changes is not announced for nothing. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Verdicts, from good to bad, by the letter that the API uses for them.
export const VERDICTS = { o: "ok", s: "suppressed", i: "inconclusive", l: "late", f: "failed", h: "hung" };
export const RANK = {
  ".": 0, o: 1, s: 2, i: 3, l: 4, f: 5, h: 6,
  pending: 0, unknown: 0, ok: 1, suppressed: 2, inconclusive: 3, late: 4, failed: 5, hung: 6,
};
export const MARKS = { ok: "✓", suppressed: "–", inconclusive: "?", late: "◔", failed: "✕", hung: "‖", pending: "…", unknown: "?" };

/** Whose problem a reason is; storage's stands out by the absence of a doubt. */
export const area = (name) => (name ? h("span.tag", {}, name === "storage" ? "area: storage" : `area: ${name}, not a storage problem`) : null);

export const badge = (verdict, words = verdict) =>
  h(`span.badge.${verdict}`, {}, h("span", { "aria-hidden": "true" }, MARKS[verdict] ?? "?"), h("span.word", {}, ` ${words}`));

export const targetHref = (probe, kind, node, storageClass) => `#/${[probe, kind, node, storageClass].map(encodeURIComponent).join("/")}`;

export function time(seconds, withSeconds = false) {
  const date = new Date(seconds * 1000);
  const today = new Date().toDateString() === date.toDateString();
  const clock = { hour: "2-digit", minute: "2-digit", ...(withSeconds ? { second: "2-digit" } : {}) };
  return today
    ? date.toLocaleTimeString([], clock)
    : date.toLocaleString([], { ...clock, month: "short", day: "numeric" });
}

export const stamp = (seconds, withSeconds = false) =>
  h("time", { datetime: new Date(seconds * 1000).toISOString(), title: new Date(seconds * 1000).toString() }, time(seconds, withSeconds));

export function duration(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const plural = (count, word) => (count === 1 ? word : `${count.toLocaleString()} ${word}s`);

export function latency(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const [value, unit] = seconds < 1e-3 ? [seconds * 1e6, "µs"] : seconds < 1 ? [seconds * 1e3, "ms"] : [seconds, "s"];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}
