// What is shown, by the address (`#/probe/kind/node/class`, or nothing), and how it stays up to date.

import { byId, put, say, time } from "./dom.js";
import { Heatmap } from "./heatmap.js";
import { features, hero, showOverview, slowest } from "./overview.js";
import { showTarget } from "./target.js";
import { trendCharts } from "./trend.js";

const EVERY_MS = 20_000; // Columns move on by themselves; and a net for when no events come.
const RETRY_MS = 3_000;
const PATIENCE_MS = 15_000; // A controller that hangs is as good as gone.

const heatmap = new Heatmap();
let selected = "";
let busy = false;
let again = false;
let seenAt = null;
let retry = 0;
let events = null;

class Refused extends Error {
  constructor(status, { error, leader }) {
    super(error);
    Object.assign(this, { status, leader });
  }
}

async function get(path) {
  const answer = await fetch(`api/v1/${path}`, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(PATIENCE_MS) });
  const body = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, body);
  return body;
}

const address = () => {
  const parts = location.hash.replace(/^#\/?/, "").split("/");
  try {
    const [probe, kind, node = "", storageClass = ""] = parts.map((part) => decodeURIComponent(part));
    return kind ? { probe, kind, node, storageClass } : null;
  } catch (error) {
    if (error instanceof URIError) return null;
    throw error;
  }
};

/** Ask for what is shown; while an answer is on its way, at most one more time afterwards. */
async function refresh() {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  again = false;
  try {
    await show();
  } catch (error) {
    failed(error);
  } finally {
    busy = false;
    if (again) refresh();
  }
}

async function show() {
  const overview = await get("overview");
  seenAt = overview.now;
  byId("where").textContent = `${overview.namespace ? `namespace ${overview.namespace}` : "all namespaces"} · ${overview.version}`;
  const panel = byId("panel");
  panel.hidden = !/^https?:\/\//.test(overview.panel_url ?? "");
  if (!panel.hidden) panel.href = overview.panel_url;
  if (!overview.probes.some((probe) => probe.name === selected)) {
    selected = (overview.probes.find((probe) => probe.state === "bad") ?? overview.probes[0])?.name ?? "";
  }
  const target = address();
  showOverview(overview, selected, select);
  if (document.hidden) return; // Of a tab in the background only the title is seen.
  if (target) {
    await showOne(target);
  } else {
    const returning = !byId("one").hidden;
    byId("all").hidden = false;
    byId("one").hidden = true;
    if (returning) byId("heat").focus({ preventScroll: true });
    if (selected) await showMap(overview);
  }
}

async function showMap(overview) {
  const found = features(overview, selected);
  byId("features").hidden = found === null;
  put(byId("features-table"), found);
  const probe = encodeURIComponent(selected);
  const [heat, trend] = await Promise.all([get(`heatmap?probe=${probe}`), get(`latency?probe=${probe}`)]);
  heatmap.show(heat);
  put(byId("trend"), trendCharts(trend), slowest(overview, selected));
}

async function showOne({ probe, kind, node, storageClass }) {
  const one = byId("one");
  const entering = one.hidden;
  try {
    const path = `targets/${encodeURIComponent(probe)}/${encodeURIComponent(kind)}?node=${encodeURIComponent(node)}&class=${encodeURIComponent(storageClass)}`;
    showTarget(await get(path));
  } catch (error) {
    if (!(error instanceof Refused) || error.status === 429 || error.status === 503) throw error;
    put(one, `There is no such target: ${error.message}`);
  }
  byId("all").hidden = true;
  one.hidden = false;
  if (entering) byId("target-title")?.focus();
}

function failed(error) {
  clearTimeout(retry);
  if (!document.hidden) retry = setTimeout(refresh, RETRY_MS);
  if (error instanceof Refused && error.status === 503) {
    const pod = error.leader?.split("_")[0];
    const hint = pod ? `The leader is ${pod}: kubectl port-forward pod/${pod} 8080` : error.message;
    hero("unknown", "This replica is a standby and has no information.", hint);
    byId("all").hidden = byId("one").hidden = true;
    return;
  }
  const sentence = error instanceof Refused ? `The controller refuses to answer: ${error.message}.` : "The controller does not answer.";
  hero("unknown", sentence, seenAt === null ? "" : `The information below is from ${time(seenAt, true)}.`, "no answer");
}

function select(probe) {
  selected = probe;
  refresh();
}

/** Have the controller tell of changes, while somebody looks: browsers allow six connections to a host. */
function listen() {
  if (events || document.hidden) return;
  const live = byId("live");
  const tell = (word) => {
    live.className = word;
    say(live, word);
  };
  events = new EventSource("api/v1/events");
  events.addEventListener("open", () => tell("live"));
  events.addEventListener("changed", refresh);
  events.addEventListener("error", () => {
    tell("reconnecting");
    deaf();
    refresh();
    setTimeout(listen, RETRY_MS);
  });
}

function deaf() {
  events?.close();
  events = null;
}

addEventListener("hashchange", () => {
  refresh();
  scrollTo(0, 0);
});
addEventListener("visibilitychange", () => {
  if (document.hidden) return deaf();
  listen();
  return refresh();
});
byId("filter").addEventListener("input", (event) => heatmap.arrange({ filter: event.target.value }));
byId("zones").addEventListener("change", (event) => heatmap.arrange({ grouped: event.target.checked }));
setInterval(refresh, EVERY_MS);
refresh();
listen();
