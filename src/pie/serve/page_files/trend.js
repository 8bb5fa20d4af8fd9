// I/O latency over time: median and 99th percentile, on a logarithmic scale, as two small charts.

import { h, latency, s, time } from "./dom.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [480, 150, 52, 20];

export function trendCharts(answer) {
  const known = ["read", "write"].flatMap((side) => [...answer[`${side}_median_seconds`], ...answer[`${side}_p99_seconds`]]).filter((each) => each !== null);
  if (!known.length) return [h("p.quiet", {}, "No run has measured a latency yet.")];
  const low = 10 ** Math.floor(Math.log10(Math.min(...known)));
  const high = Math.max(low * 10, 10 ** Math.ceil(Math.log10(Math.max(...known))));
  return [chart(answer, "read", low, high), chart(answer, "write", low, high)];
}

function chart(answer, side, low, high) {
  const median = answer[`${side}_median_seconds`];
  const p99 = answer[`${side}_p99_seconds`];
  const first = Math.max(0, Math.min(median.findIndex((each) => each !== null), answer.columns - 30));
  const y = (seconds) => 8 + (HEIGHT - BOTTOM - 8) * (1 - Math.log(seconds / low) / Math.log(high / low));
  const x = (column) => LEFT + ((WIDTH - LEFT - 8) * (column - first)) / Math.max(1, answer.columns - 1 - first);
  const ticks = [];
  for (let tick = low; tick <= high * 1.01; tick *= 10) ticks.push(tick);
  const now = [median, p99].map((values) => values.findLast((each) => each !== null));
  const words = `${side}: median ${latency(now[0])}, 99th percentile ${latency(now[1])} in the last period`;
  return h("figure", {},
    h("figcaption", {}, h("strong", {}, side), ` median ${latency(now[0])}, `, h("span.p99", {}, `p99 ${latency(now[1])}`)),
    s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words },
      ticks.map((tick) => [
        s("line.grid", { x1: LEFT, x2: WIDTH - 8, y1: y(tick), y2: y(tick) }),
        s("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, latency(tick)),
      ]),
      s("text", { x: LEFT, y: HEIGHT - 4 }, time(answer.start + first * answer.step_seconds)),
      s("text", { x: WIDTH - 8, y: HEIGHT - 4, "text-anchor": "end" }, time(answer.start + answer.columns * answer.step_seconds)),
      line(p99, x, y, "p99"), line(median, x, y, "median")));
}

/** A line with breaks where nothing was measured; a value between two breaks is a dot. */
function line(values, x, y, name) {
  let path = "";
  let open = false;
  values.forEach((value, column) => {
    if (value !== null) path += `${open ? "L" : "M"}${x(column).toFixed(1)} ${y(value).toFixed(1)}${open ? "" : "h0.01"}`;
    open = value !== null;
  });
  return s(`path.${name}`, { d: path });
}
