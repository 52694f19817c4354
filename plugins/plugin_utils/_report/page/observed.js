/*
  Copyright (c) 2026, the hpc.ports authors
  GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-License-Identifier: GPL-3.0-or-later
*/
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const words = (side) => Object.values(side).flat().join(" ");
const HEADS = ["From", "To", "Ports", "Hosts", "Packets", "Last", "Listens"];
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function element(name, text, kind) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function age(seconds) {
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? UNITS.at(-1);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

function covers(range, wanted) {
  const [numbers, protocol] = range.split("/");
  const [first, last] = numbers.split("-").map(Number);
  const [port, asked] = wanted.split("/");
  return first <= Number(port) && Number(port) <= (last ?? first) && (!asked || asked === protocol);
}

function matches(item, wanted) {
  return words(item.from).includes(wanted.from) && words(item.to).includes(wanted.to)
    && item.listeners.join(" ").includes(wanted.listener)
    && (!wanted.port || item.ports.some((range) => range === wanted.port || covers(range, wanted.port)));
}

function row(item, number) {
  return [
    data.titles[number].from, data.titles[number].to, item.ports.join(", "), String(item.from.hosts.length),
    item.packets.toLocaleString("en"), age(item.last_seconds), item.listeners.join(", "),
  ];
}

function list(id, texts) {
  byId(id).replaceChildren(...texts.map((text) => element("li", text, "break")));
}

function show() {
  const wanted = Object.fromEntries(["from", "to", "port", "listener"].map((id) => [id, byId(id).value.trim()]));
  const rows = data.seen.map((item, number) => [item, number]).filter(([item]) => matches(item, wanted));
  byId("status").textContent = `${rows.length} of ${data.seen.length} groups of connections`;
  const table = byId("seen");
  table.replaceChildren();
  const head = table.createTHead().insertRow();
  for (const text of HEADS) {
    const cell = element("th", text);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  for (const [item, number] of rows) {
    const line = body.insertRow();
    for (const text of row(item, number)) line.append(element("td", text, text.length > 30 ? "long" : ""));
  }
}

list("notes", [...data.notes, `The port file allows ${data.allowed} older records by now.`]);
list("left", data.left_out);
byId("left-part").hidden = !data.left_out.length;
byId("inventory").textContent = data.inventory.join(", ");
byId("draft").textContent = data.draft || "Nothing is to be allowed.";
byId("filters").addEventListener("input", show);
byId("filters").addEventListener("reset", () => setTimeout(show));
show();
