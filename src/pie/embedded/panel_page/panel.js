"use strict";
// Everything from the cluster is set as text, never as markup.
const grid = document.getElementById("grid");
const endAll = document.getElementById("end-all");
const said = document.getElementById("said");
const ALL = "every node";
let buttons = new Map();
let shape = "";
let active = [];
let asked = 0;
let shown = 0;

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// An answer that was asked for before the one that is shown is older than it, whenever it comes.
async function call(method, path) {
  const number = (asked += 1);
  const headers = method === "GET" ? {} : { "X-Pie-Panel": "1" };
  try {
    const answer = await fetch(path, { method, headers });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error);
    if (number > shown) {
      shown = number;
      show(body);
    }
    return true;
  } catch (error) {
    said.textContent = error instanceof TypeError ? "The demo does not answer. Has it ended?" : error.message;
    return false;
  }
}

async function press(fault, node, button) {
  const on = button.getAttribute("aria-pressed") !== "true";
  const where = node || (fault.per_node ? ALL : "the cluster");
  said.textContent = "";
  const query = node ? `?node=${encodeURIComponent(node)}` : "";
  if (await call(on ? "POST" : "DELETE", `/faults/${encodeURIComponent(fault.name)}${query}`))
    said.textContent = `${fault.name}, ${where}: ${on ? "injected" : "ended"}.`;
}

function build(state) {
  const names = state.nodes.length > 1 ? [...state.nodes, ALL] : state.nodes;
  const head = element("tr");
  head.append(element("th", "Fault", { scope: "col" }));
  for (const name of names) head.append(element("th", name, { scope: "col" }));
  const rows = state.faults.map((fault) => {
    const row = element("tr");
    const title = element("th", fault.name, { scope: "row" });
    title.append(element("small", fault.meaning));
    row.append(title);
    for (const name of fault.per_node ? names : [""]) {
      const cell = element("td", "", fault.per_node ? {} : { colspan: String(names.length) });
      const button = element("button", "inject", { type: "button", "aria-pressed": "false" });
      const node = name === ALL ? "" : name;
      button.setAttribute("aria-label", `${fault.name}, ${name || "the cluster"}`);
      button.addEventListener("click", () => press(fault, node, button));
      buttons.set(`${fault.name} ${name}`, button);
      cell.append(button);
      row.append(cell);
    }
    return row;
  });
  const thead = element("thead");
  thead.append(head);
  const tbody = element("tbody");
  tbody.append(...rows);
  grid.replaceChildren(thead, tbody);
}

function show(state) {
  const now = JSON.stringify([state.nodes, state.faults]);
  if (now !== shape) {
    shape = now;
    buttons = new Map();
    build(state);
  }
  active = state.active;
  const on = new Set(active.map((each) => `${each.fault} ${each.node}`));
  for (const fault of state.faults)
    if (fault.per_node && state.nodes.every((node) => on.has(`${fault.name} ${node}`))) on.add(`${fault.name} ${ALL}`);
  for (const [key, button] of buttons) {
    button.setAttribute("aria-pressed", String(on.has(key)));
    button.textContent = on.has(key) ? "active" : "inject";
  }
  endAll.disabled = active.length === 0;
}

endAll.addEventListener("click", async () => {
  for (const each of [...active])
    await call("DELETE", `/faults/${encodeURIComponent(each.fault)}${each.node ? `?node=${encodeURIComponent(each.node)}` : ""}`);
});

async function follow() {
  await call("GET", "/faults");
  setTimeout(follow, 2000);
}
follow();
