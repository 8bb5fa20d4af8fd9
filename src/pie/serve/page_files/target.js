// One target: how it is, what to look at, and its last runs as timelines of their stages.

import { area, badge, byId, duration, h, latency, put, stamp } from "./dom.js";

const CAUSE = { schedule: "", retry: "early run", followup: "follow-up on another node" };

export function showTarget({ target, runs, threshold_seconds: threshold, now }) {
  const name = target.node || "any node";
  const newest = runs.find((run) => run.verdict === target.verdict && run.next);
  const longest = Math.max(threshold, ...runs.map(total));
  put(byId("one"),
    h("p", {}, h("a", { href: "#", id: "back" }, "← all targets")),
    h("h2.target", { id: "target-title", tabindex: "-1" }, `${name} `, h("small", {}, `${target.kind} probe ${target.probe}, StorageClass ${target.storage_class}${target.zone ? `, zone ${target.zone}` : ""}`)),
    h("p.facts", {}, badge(target.verdict), target.verdict === "ok" ? null : h("span.tag", {}, target.reason),
      target.stage ? h("span.tag", {}, `stage: ${target.stage}`) : null,
      target.verdict === "suppressed" ? null : area(target.area),
      target.since ? h("span", {}, `for ${duration(now - target.since)}, since `, stamp(target.since)) : null,
      target.last_ok && target.verdict !== "ok" ? h("span", {}, "last ok ", stamp(target.last_ok, true)) : null),
    newest ? h("p", {}, newest.meaning) : null,
    target.message ? h("blockquote", {}, target.message) : null,
    newest ? h("p.next", {}, h("strong", {}, "Next: "), newest.next) : null,
    io(target.io),
    h("h3", {}, "Last runs"),
    h("p.quiet", {}, `Time in each stage. The line marks the threshold, ${duration(threshold)}: a run that has not started by then is late. Failed runs are kept longer than good runs.`),
    h("ol.runs", {}, runs.map((run, index) => runItem(run, runs[index - 1] ?? target, threshold, longest))),
    runs.length ? null : h("p.quiet", {}, "No run has ended since this controller became the leader."));
}

const total = (run) => Object.values(run.stages).reduce((sum, seconds) => sum + seconds, 0);

function runItem(run, newer, threshold, longest) {
  const cause = CAUSE[run.cause] ?? run.cause;
  return h("li.run", {},
    h("p.facts", {}, stamp(run.due, true), badge(run.verdict), run.verdict === "ok" ? null : h("span.tag", {}, run.reason),
      cause ? h("span", {}, cause) : null, run.ended ? null : h("span", {}, "still running"),
      run.node ? h("span.quiet", {}, `on ${run.node}`) : null),
    timeline(run, threshold, longest),
    h("p.stages", {}, Object.entries(run.stages).map(([stage, seconds]) => h("span", {}, h(`span.key.${stage}`), `${stage} ${short(seconds)}`)),
      run.stage ? h("span.where", {}, `${run.verdict} in ${run.stage}`) : null,
      run.io ? h("span.quiet", {}, ["read", "write"].filter((side) => run.io[side]).map((side) => `${side} p99 ${latency(run.io[side].p99_seconds)}`).join(", ")) : null),
    run.message && run.verdict !== "ok" ? evidence(run, newer) : null);
}

const evidence = (run, newer) =>
  run.message === newer?.message ? h("p.quiet", {}, "The same evidence as above.") : h("blockquote", {}, run.message);

/** Bars in proportion; a stage in which a run got stuck has no end that was seen, and is hatched. */
function timeline(run, threshold, longest) {
  const track = h("div.track", { "aria-hidden": "true" });
  const known = Object.entries(run.stages).filter(([, seconds]) => seconds > 0);
  for (const [stage, seconds] of known) track.append(bar(`span.part.${stage}`, seconds / longest));
  if (run.stage && !(run.stages[run.stage] > 0)) {
    track.append(bar(`span.part.stuck.${run.verdict}`, Math.max(0.04, (threshold - total(run)) / longest)));
  }
  const limit = h("span.limit");
  limit.style.left = `${Math.min(100, (100 * threshold) / longest)}%`;
  track.append(limit);
  return track;
}

function bar(name, part) {
  const element = h(name);
  element.style.width = `${100 * part}%`;
  return element;
}

const short = (seconds) => (seconds < 0.95 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`);

function io(stats) {
  if (!stats) return null;
  const sides = ["read", "write"].filter((side) => stats[side]);
  const columns = [["median", "p50_seconds"], ["p99", "p99_seconds"], ["max", "max_seconds"]];
  return h("figure.io", {},
    h("figcaption", {}, stats.tool === "fio" ? "I/O latency of the last run that measured it" : "I/O latency of the last run (measured without fio, roughly)"),
    h("table", {}, h("thead", {}, h("tr", {}, h("td"), columns.map(([word]) => h("th", { scope: "col" }, word)), h("th", { scope: "col" }, "IOPS"))),
    h("tbody", {}, sides.map((side) => h("tr", {}, h("th", { scope: "row" }, side),
      columns.map(([, key]) => h("td", {}, latency(stats[side][key]))), h("td", {}, Math.round(stats[side].iops).toLocaleString()))))));
}
