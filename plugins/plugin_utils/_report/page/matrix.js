/*
  Copyright (c) 2026, the hpc.ports authors
  GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-License-Identifier: GPL-3.0-or-later
*/
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const hosts = (name) => data.classes[name].hosts.join(" ");

// One row for each opening: the texts that it shows, and what a filter looks for.
const openings = data.openings.map((opening) => ({
  ...opening, source: opening.from, words: `${opening.from} ${hosts(opening.from)}`, networks: [],
}));
const outside = data.outside.map((opening) => ({
  ...opening, source: `outside ${opening.endpoints.join(", ")}`, words: `outside ${opening.endpoints.join(" ")} ${opening.networks.join(" ")}`,
}));

function element(name, text, kind) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** A cell; the name of a class breaks between its groups: `slurm_controller+nfs_server`. */
function wrapping(text) {
  const cell = element("td", "", text.length > 24 ? "wraps" : "");
  for (const part of text.split(/(?<=[+])/)) cell.append(part, document.createElement("wbr"));
  return cell;
}

function fill(table, heads, rows) {
  table.replaceChildren();
  const head = table.createTHead().insertRow();
  for (const text of heads) {
    const cell = element("th", text);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const text of row) line.append(wrapping(text));
  }
}

function covers(range, port) {
  const [numbers] = range.split("/");
  const [first, last] = numbers.split("-").map(Number);
  return first <= port && port <= (last ?? first);
}

function matches(opening, wanted) {
  const flow = `${opening.flow} ${opening.services.join(" ")}`;
  return opening.words.includes(wanted.from)
    && `${opening.to} ${hosts(opening.to)}`.includes(wanted.to)
    && flow.includes(wanted.flow)
    && (!wanted.port || opening.ports.some((range) => range === wanted.port || covers(range, Number(wanted.port.split("/")[0]))
      && (!wanted.port.includes("/") || range.endsWith(wanted.port.slice(wanted.port.indexOf("/"))))));
}

function row(opening) {
  return [opening.source, opening.to, opening.ports.join(", "), opening.services.join(", "), opening.flow, opening.networks.join(", ")];
}

function show() {
  const wanted = Object.fromEntries(["from", "to", "port", "flow"].map((id) => [id, byId(id).value.trim()]));
  const found = [...openings, ...outside].filter((opening) => matches(opening, wanted));
  byId("status").textContent = `${found.length} of ${openings.length + outside.length} openings`;
  fill(byId("openings"), ["From", "To", "Ports", "Services", "Flow", "Networks"], found.map(row));
}

fill(byId("outside"), ["To", "Ports", "Services", "Flow", "Endpoints", "Networks"], outside.map((opening) => [
  opening.to, opening.ports.join(", "), opening.services.join(", "), opening.flow, opening.endpoints.join(", "), opening.networks.join(", "),
]));
fill(byId("classes"), ["Class", "Firewall", "Hosts"], Object.entries(data.classes).map(([name, entry]) => [
  name, entry.managed ? "managed" : "not managed", entry.hosts.join(", "),
]));
byId("inventory").textContent = data.inventory.join(", ");
byId("made").textContent = `${Object.keys(data.classes).length} classes of hosts`;
byId("filters").addEventListener("input", show);
byId("filters").addEventListener("reset", () => setTimeout(show));
show();
