// Targets over time: a row for each, a cell for each period. Only the rows in sight are elements, so that
// thousands scroll smoothly; their cells are drawn on a canvas each.

import { MARKS, RANK, VERDICTS, badge, byId, h, put, say, targetHref, time } from "./dom.js";
import { shortener } from "./names.js";

const ROW = 24;
const FEWEST = 30;
const NARROWEST = 4;
const LETTER_FROM = 11;
const LETTERS = ".osilfh";
const RANK_OF_CODE = new Uint8Array(128);
[...LETTERS].forEach((letter) => (RANK_OF_CODE[letter.charCodeAt(0)] = RANK[letter]));
// Letter, and where its mark begins and how high it is, in parts of a row.
const SHAPES = [[".", 0.45, 0.1], ["o", 0, 1], ["s", 0.35, 0.3], ["i", 0.3, 0.45], ["l", 0.25, 0.75], ["f", 0, 1], ["h", 0, 1]];

const anyNode = (kind) => (kind === "provision" ? "any node (new volume)" : `any node (${kind})`);

export class Heatmap {
  constructor() {
    this.root = byId("heat");
    this.space = h("div.space");
    this.pool = [];
    this.rows = [];
    this.active = 0;
    this.grouped = false;
    this.filter = "";
    this.root.append(this.space);
    this.root.addEventListener("scroll", () => this.later());
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("click", (event) => this.clicked(event));
    this.root.addEventListener("pointermove", (event) => this.point(event));
    this.root.addEventListener("pointerleave", () => this.note(""));
    this.root.addEventListener("focus", () => this.later());
    new ResizeObserver(() => this.redraw()).observe(this.root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    put(byId("legend"), Object.entries(VERDICTS).map(([letter, word]) => h(`span.badge.${word}`, {}, `${MARKS[word]} ${word} (${letter})`)));
  }

  /** Show an answer of /api/v1/heatmap. */
  show(answer) {
    if (this.answer && this.answer.probe !== answer.probe) this.root.scrollTop = this.active = 0;
    this.answer = answer;
    this.arrange();
  }

  arrange(changes = {}) {
    Object.assign(this, changes);
    if (!this.answer) return;
    const kept = this.rows[this.active]?.key;
    const wanted = this.filter.toLowerCase();
    const several = new Set(this.answer.rows.map((row) => row.storage_class)).size > 1;
    const rows = this.answer.rows
      .map((row) => ({ ...row, key: `${row.kind}/${row.storage_class}/${row.node}`, name: nameOf(row, several), several, badness: badness(row) }))
      .filter((row) => !wanted || row.name.toLowerCase().includes(wanted) || row.zone.toLowerCase().includes(wanted));
    const collate = new Intl.Collator("en", { numeric: true }).compare;
    rows.sort((a, b) => b.badness - a.badness || Boolean(a.node) - Boolean(b.node) || collate(a.name, b.name));
    this.rows = this.grouped ? grouped(rows) : rows;
    const found = this.rows.findIndex((row) => row.key === kept);
    this.active = found >= 0 ? found : this.rows.findIndex((row) => !row.header);
    this.first = firstKnown(this.answer);
    this.root.hidden = rows.length === 0;
    say(byId("no-rows"), rows.length ? "" : wanted ? `No node or zone has “${this.filter}” in its name.` : "This PieProbe has no targets.");
    this.space.style.height = `${this.rows.length * ROW}px`;
    this.root.style.height = `${Math.min(this.rows.length * ROW + 2, Math.max(240, innerHeight * 0.6))}px`;
    this.redraw();
  }

  redraw() {
    const style = getComputedStyle(this.root);
    this.colours = Object.fromEntries(Object.values(VERDICTS).map((word) => [word, style.getPropertyValue(`--${word}`)]));
    this.inks = Object.fromEntries([["l", "--on-late"], ["f", "--on-bad"], ["h", "--on-bad"]].map(([letter, ink]) => [letter, style.getPropertyValue(ink)]));
    this.colours.none = style.getPropertyValue("--none");
    this.width = 0;
    for (const element of this.pool) element.drawn = null;
    this.later();
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    if (!this.answer) return;
    const top = Math.floor(this.root.scrollTop / ROW);
    const wanted = Math.min(this.rows.length, Math.ceil(this.root.clientHeight / ROW) + 1);
    while (this.pool.length < wanted) this.pool.push(this.space.appendChild(rowElement()));
    while (this.pool.length > wanted) this.pool.pop().remove();
    if (!this.width && this.pool.length) this.measure(...this.pool[0].children);
    const { width } = this;
    const columns = this.answer.columns - this.first;
    this.columns = Math.max(1, Math.min(columns, Math.floor(width / NARROWEST)));
    for (let index = top; index < Math.min(top + wanted, this.rows.length); index += 1) {
      this.drawRow(this.pool[index % wanted], index, width);
    }
    const focused = this.rows[this.active] && this.active >= top && this.active < top + wanted;
    if (focused) this.root.setAttribute("aria-activedescendant", this.pool[this.active % wanted].id);
    else this.root.removeAttribute("aria-activedescendant");
    this.axis();
  }

  measure(name, _verdict, canvas) {
    this.width = canvas.clientWidth;
    this.names = shortener(this.rows.flatMap((row) => row.node || []), 0.94 * name.clientWidth, getComputedStyle(name).font); // Digits of a width are a bit wider than is measured.
  }

  drawRow(element, index, width) {
    const row = this.rows[index];
    element.style.transform = `translateY(${index * ROW}px)`;
    element.classList.toggle("active", index === this.active);
    element.dataset.index = index;
    if (element.drawn === row) return;
    element.drawn = row;
    const [name, verdict, canvas] = element.children;
    element.classList.toggle("header", Boolean(row.header));
    element.setAttribute("role", row.header ? "presentation" : "option");
    element.setAttribute("aria-selected", String(index === this.active));
    element.setAttribute("aria-setsize", this.rows.length);
    element.setAttribute("aria-posinset", index + 1);
    name.textContent = row.node && !row.several ? this.names.node(row.name) : row.header || row.several ? this.names.other(row.name) : row.name;
    name.title = row.zone ? `${row.name} (zone ${row.zone})` : row.name;
    if (row.header) element.removeAttribute("aria-label");
    else element.setAttribute("aria-label", `${name.title}: ${row.verdict}`);
    const words = row.header ? `${row.verdict} ${row.words}` : row.verdict;
    if (element.words !== words) {
      verdict.replaceWith(badge(row.verdict, row.words));
      element.words = words;
    }
    element.dataset.verdict = row.verdict;
    paint(canvas, row.cells.slice(-this.columns), width, this.colours, this.inks);
  }

  axis() {
    const { start, step_seconds: step, columns } = this.answer;
    byId("axis-start").textContent = time(start + (columns - this.columns) * step);
    byId("axis-end").textContent = time(start + columns * step);
    if (!this.pointed) this.note("");
  }

  note(text) {
    this.pointed = text;
    const step = this.answer?.step_seconds ?? 0;
    byId("axis-note").textContent = text || `each cell ${step < 60 ? `${step} s` : `${Math.round(step / 60)} min`}`;
  }

  point(event) {
    const element = event.target.closest(".row");
    const row = element && this.rows[element.dataset.index];
    if (!row || event.target.tagName !== "CANVAS") return this.note("");
    const column = Math.floor((event.offsetX / event.target.clientWidth) * this.columns);
    const cells = row.cells.slice(-this.columns);
    const at = this.answer.start + (this.answer.columns - this.columns + column) * this.answer.step_seconds;
    return this.note(`${row.name} · ${time(at, true)} · ${VERDICTS[cells[column]] ?? "no result"}`);
  }

  clicked(event) {
    const element = event.target.closest(".row");
    if (element) this.open(Number(element.dataset.index));
  }

  open(index) {
    const row = this.rows[index];
    if (!row || row.header) return;
    this.active = index;
    location.hash = targetHref(this.answer.probe, row.kind, row.node, row.storage_class);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.root.clientHeight / ROW) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") this.open(this.active);
    else if (event.key in moves) this.move(moves[event.key]);
    else return;
    event.preventDefault();
  }

  move(by) {
    const aim = Math.min(this.rows.length - 1, Math.max(0, this.active + by));
    const step = by > 0 ? 1 : -1;
    const next = this.rows[this.nearest(aim, step)] ? this.nearest(aim, step) : this.nearest(aim, -step);
    if (!this.rows[next]) return;
    this.active = next;
    const [from, to] = [(this.rows[next - 1]?.header ? next - 1 : next) * ROW, (next + 1) * ROW];
    if (from < this.root.scrollTop) this.root.scrollTop = from;
    if (to > this.root.scrollTop + this.root.clientHeight) this.root.scrollTop = to - this.root.clientHeight;
    for (const element of this.pool) element.drawn = null;
    this.later();
  }

  /** The first row from here on, in steps, that is a target; outside the rows if there is none. */
  nearest(index, step) {
    let at = index;
    while (this.rows[at]?.header) at += step;
    return at;
  }
}

let made = 0;
function rowElement() {
  made += 1;
  return h("div.row", { id: `row-${made}` }, h("span.name"), h("span.badge"), h("canvas", { "aria-hidden": "true" }));
}

/** The name of a row; where the PieProbe has several classes, with the class. */
function nameOf(row, several) {
  const node = row.node ? (row.kind === "mount" ? row.node : `${row.node} (${row.kind})`) : anyNode(row.kind);
  return several ? `${row.storage_class}: ${node}` : node;
}

/** Order of rows: bad now, then bad of late, then the rest. */
function badness(row) {
  const now = RANK[row.verdict] ?? 0;
  let latest = 0;
  for (let column = row.cells.length - 1; column >= 0 && !latest; column -= 1) {
    if (RANK[row.cells[column]] > 2) latest = (column + 1) / row.cells.length;
  }
  return (now > 2 ? 10 * now : 0) + latest * 5;
}

function grouped(rows) {
  const zones = new Map();
  for (const row of rows) {
    const zone = row.node ? row.zone || "no zone" : "whole class";
    if (!zones.has(zone)) zones.set(zone, []);
    zones.get(zone).push(row);
  }
  return [...zones].flatMap(([zone, members]) => [header(zone, members), ...members]);
}

function header(zone, members) {
  const bad = members.filter((row) => RANK[row.verdict] > 2).length;
  const verdict = members.reduce((worst, row) => (RANK[row.verdict] > RANK[worst] ? row.verdict : worst), "pending");
  const words = bad ? `${bad}/${members.length} bad` : `${members.length} ${verdict}`;
  return { header: true, key: `zone/${zone}`, name: zone, zone: "", verdict, words, cells: worstOf(members) };
}

/** The worst letter of each column. */
function worstOf(rows) {
  const worst = new Uint8Array(rows[0].cells.length);
  for (const { cells } of rows) {
    for (let column = 0; column < worst.length; column += 1) {
      const rank = RANK_OF_CODE[cells.charCodeAt(column)];
      if (rank > worst[column]) worst[column] = rank;
    }
  }
  return Array.from(worst, (rank) => LETTERS[rank]).join("");
}

/** Return the first column that says anything; a young controller has few. */
function firstKnown(answer) {
  let first = answer.columns;
  for (const row of answer.rows) {
    const known = row.cells.search(/[^.]/);
    if (known >= 0 && known < first) first = known;
  }
  return Math.max(0, Math.min(first, answer.columns - FEWEST));
}

/** Draw cells. Each verdict has a shape of its own besides its colour, and its letter where there is room. */
function paint(canvas, cells, width, colours, inks) {
  const ratio = devicePixelRatio || 1;
  const height = ROW - 6;
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const wide = width / cells.length;
  const thick = wide - (wide > 6 ? 1.5 : wide > 4 ? 1 : 0.5);
  for (const [letter, top, part] of SHAPES) {
    let column = cells.indexOf(letter);
    if (column < 0) continue;
    pen.fillStyle = colours[VERDICTS[letter] ?? "none"];
    pen.beginPath();
    for (; column >= 0; column = cells.indexOf(letter, column + 1)) pen.rect(column * wide, top * height, thick, part * height);
    pen.fill();
  }
  if (wide >= LETTER_FROM) {
    pen.font = "600 10px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
  }
  for (let column = 0; column < cells.length; column += 1) {
    const [letter, x] = [cells[column], column * wide];
    if (!(letter in inks)) continue;
    pen.fillStyle = inks[letter];
    if (wide >= LETTER_FROM) pen.fillText(letter.toUpperCase(), x + thick / 2, height * (letter === "l" ? 0.62 : 0.5));
    else if (letter === "f") pen.fillRect(x, height / 2 - 1, thick, 2);
    else if (letter === "h") [0.3, 0.65].forEach((at) => pen.fillRect(x, height * at, thick, 2));
  }
}
