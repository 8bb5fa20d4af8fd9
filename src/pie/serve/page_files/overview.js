// The first view: is everything fine, what is not, and which classes there are.

import { MARKS, area, byId, duration, h, latency, plural, put, say, stamp, targetHref } from "./dom.js";

const GLYPH = { fine: "✓", warning: "!", bad: "✕", unknown: "…" };
const ORDER = ["ok", "late", "failed", "hung", "inconclusive", "unknown", "suppressed", "pending"];

/** Say how it is, and in the tab's title by a word. One that is no state says that what is below is old. */
export function hero(state, sentence, detail, word = state) {
  byId("hero").className = `hero ${state}${word === state ? "" : " old"}`;
  say(byId("glyph"), GLYPH[state]);
  say(byId("sentence"), sentence);
  say(byId("detail"), detail);
  document.title = `${GLYPH[state]} pie: ${word}`;
}

export function showOverview(overview, selected, select) {
  const open = overview.incidents.filter((each) => each.closed === null);
  const closed = overview.incidents.filter((each) => each.closed !== null);
  const several = open.length > 1 ? `${open.length} incidents are` : "1 incident is";
  hero(overview.state, open.length ? `Not everything is fine: ${several} open.` : overview.summary, detail(overview, open));
  put(byId("incidents"), open.map((each) => incident(each, overview.now)));
  byId("closed").hidden = closed.length === 0;
  byId("closed-count").textContent = closed.length;
  put(byId("closed-list"), closed.map((each) => incident(each, overview.now)));
  put(byId("classes"), overview.probes.map((each) => card(each, each.name === selected, () => select(each.name))));
}

function detail(overview, open) {
  const counts = {};
  for (const probe of overview.probes) {
    for (const word of ORDER) counts[word] = (counts[word] ?? 0) + (probe.targets[word] ?? 0);
  }
  const told = ORDER.filter((word) => counts[word]).map((word) => `${counts[word].toLocaleString()} ${word}`);
  const since = open.length ? `for ${duration(overview.now - Math.min(...open.map((each) => each.opened)))} · ` : "";
  return told.length ? since + told.join(" · ") : "";
}

function incident(each, now) {
  const over = each.closed !== null;
  const lasted = duration((each.closed ?? now) - each.opened);
  return h(`article.incident${over ? ".over" : ""}`, { "data-incident": each.id },
    h("h3", {}, each.words),
    h("p.facts", {},
      h("span.tag", {}, `stage: ${each.stage}`), h("span.tag", {}, each.reason), area(each.area), h("span.tag", {}, each.probe),
      over ? h("span", {}, "closed after ", lasted, ", at ", stamp(each.closed), each.ending ? ` (${each.ending})` : "") : h("span", {}, "for ", lasted, ", since ", stamp(each.opened))),
    h("p", {}, each.meaning),
    each.evidence ? h("blockquote", {}, each.evidence) : null,
    over ? null : h("p.next", {}, h("strong", {}, "Next: "), each.next),
    over ? null : h("p.links", {}, "Timelines: ", timelines(each)));
}

function timelines(each) {
  const link = (kind, node, words) => h("a", { href: targetHref(each.probe, kind, node, each.storage_class), id: `at-${each.id}-${node}` }, words);
  const links = each.nodes.map((node) => link("mount", node, node));
  if (each.provision) links.unshift(link("provision", "", "new volume"));
  for (const kind of each.canaries) links.unshift(link(kind, "", `canary ${kind}`));
  const more = each.targets - links.length;
  return [links.flatMap((each) => [each, " "]), more > 0 ? `and ${more} more` : null];
}

function often(probe) {
  const period = probe.period_seconds ?? 60;
  const effective = probe.effective_period_seconds ?? period;
  const every = `every ${plural(effective / 60, "minute")}`;
  return effective > period ? `${every}, slowed down from ${period / 60}` : every;
}

function card(probe, selected, select) {
  const { targets } = probe;
  const counts = ORDER.filter((word) => targets[word]);
  const button = h(`button.card.${probe.state}`, { type: "button", id: `class-${probe.name}`, "aria-pressed": String(selected) },
    h("span.title", {}, h("span.dot", { "aria-hidden": "true" }, GLYPH[probe.state]), probe.storage_class),
    h("span.sub", {}, `PieProbe ${probe.name} · ${often(probe)}`),
    h("span.parts", { "aria-hidden": "true" }, counts.map((word) => grow(h(`span.part.${word}`), targets[word]))),
    h("span.counts", {}, counts.length ? counts.map((word) => h("span", {}, `${MARKS[word]} ${targets[word].toLocaleString()} ${word}`)) : "no targets"),
    h("span.summary", {}, probe.summary));
  button.addEventListener("click", select);
  return button;
}

function grow(element, by) {
  element.style.flexGrow = by;
  return element;
}

const ANSWERS = { yes: "✓ yes", no: "✕ no", unknown: "? not known" };

/** What the canaries of a PieProbe have found out, or null if it has none. */
export function features(overview, name) {
  const probe = overview.probes.find((each) => each.name === name);
  if (!probe?.features?.length) return null;
  const several = new Set(probe.features.map((each) => each.storage_class)).size > 1;
  const head = ["feature", ...(several ? ["class"] : []), "offered", "works", "last worked", "took"];
  return h("figure", {}, h("table", {},
    h("thead", {}, h("tr", {}, head.map((word) => h("th", { scope: "col" }, word)))),
    h("tbody", {}, probe.features.map((each) => h("tr", {},
      h("th", { scope: "row" }, h("a", { href: targetHref(name, each.name, "", each.storage_class), id: `feature-${each.name}-${each.storage_class}` }, each.name)),
      several ? h("td", {}, each.storage_class) : null,
      h("td", {}, ANSWERS[each.offered]), h(`td.answer.${each.works}`, {}, ANSWERS[each.works]),
      h("td", {}, each.proved ? stamp(each.proved) : "–"), h("td", {}, each.seconds === null ? "–" : duration(each.seconds)))))));
}

export function slowest(overview, probe) {
  const found = overview.slowest.filter((each) => each.probe === probe).slice(0, 5);
  if (!found.length) return null;
  return h("figure", {}, h("figcaption", {}, h("strong", {}, "slowest nodes"), " p99 of their last run"), h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "node"), h("th", { scope: "col" }, "read"), h("th", { scope: "col" }, "write"))),
    h("tbody", {}, found.map((each) => h("tr", {},
      h("th", { scope: "row" }, h("a", { href: targetHref(probe, "mount", each.node, each.storage_class), id: `slow-${each.node}` }, each.node)),
      h("td", {}, latency(each.read_p99_seconds)), h("td", {}, latency(each.write_p99_seconds)))))));
}

