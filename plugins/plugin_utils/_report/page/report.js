/*
  Copyright (c) 2026, the hpc.ports authors
  GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-License-Identifier: GPL-3.0-or-later
*/
"use strict";

// ---- small tools

const byId = (id) => document.getElementById(id);
const collator = new Intl.Collator("en", {numeric: true});
const number = new Intl.NumberFormat("en");
const plural = (count, word) => `${number.format(count)} ${word}${count === 1 ? "" : "s"}`;
const short = (count) => count < 1000 ? String(count) : count < 99500
  ? `${(count / 1000).toFixed(count < 9950 ? 1 : 0)}k` : `${(count / 1e6).toFixed(1)}M`;

/** An element; strings among its children become text, never markup. */
function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== "") element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

/** Names in one line: the first few, and how many more there are. */
function some(names, most = 3) {
  const rest = names.length - most;
  return rest > 0 ? `${names.slice(0, most).join(", ")} and ${number.format(rest)} more` : names.join(", ");
}

/** Put items into a list, some at a time; a button below brings the next ones. */
function fill(list, items, item, step) {
  const more = make("button", {type: "button", class: "more", onclick: () => next(true)});
  let shown = 0;
  function next(focus) {
    const added = items.slice(shown, shown + step).map(item);
    shown += added.length;
    list.append(...added);
    more.textContent = `Show more (${number.format(items.length - shown)} left)`;
    more.hidden = shown === items.length;
    const target = focus && (added[0].querySelector("button, summary") || added[0]);
    if (target) {
      if (target === added[0]) target.tabIndex = -1;
      target.focus();
    }
  }
  next(false);
  return more;
}

// ---- the report, unpacked

const packed = JSON.parse(byId("data").textContent);
const hosts = new Map(Object.entries(packed.hosts));
const services = new Map(Object.entries(packed.services));
const flows = new Map(Object.entries(packed.flows));
const columns = new Map(Object.entries(packed.columns));
const total = packed.count;
const VERDICTS = ["right", "unknown", "wrong"];
const OUTCOMES = ["open", "refused", "filtered", "error"];
const MARKS = {right: "✔", wrong: "✖", unknown: "?"};
const TITLES = {
  no_listener: "Nothing listens on the port", ruleset_drops: "The rules of hpc.ports drop it",
  ruleset_allows: "The rules of a host allow it", published: "The port is published",
  other_table: "Rules of another program drop it", not_sent: "The source sends nothing",
  not_arrived: "The packet did not arrive", wrong_source: "The source address is not in the plan",
  elsewhere: "It leads to another host", reply_lost: "The answer was lost", unreachable: "Nothing is known",
  unknown: "The cause is unknown",
};

/** The value of one property of a connection, by its number. */
const value = (name, cell) => {
  const column = columns.get(name);
  return column.values[column.rows === 0 ? 0 : column.rows[cell]];
};
/** One property of all connections as small numbers: what `number` makes of each distinct value. */
function coded(name, number) {
  const column = columns.get(name);
  const codes = column.values.map(number);
  return Int32Array.from({length: total}, (unused, cell) => codes[column.rows === 0 ? 0 : column.rows[cell]]);
}

const names = [...new Set([...hosts.keys(), ...columns.get("source").values, ...columns.get("target").values])]
  .sort(collator.compare);
const place = new Map(names.map((name, index) => [name, index]));
const sourceOf = coded("source", (name) => place.get(name));
const targetOf = coded("target", (name) => place.get(name));
const verdictOf = coded("verdict", (name) => VERDICTS.indexOf(name));
const outcomeOf = coded("outcome", (name) => OUTCOMES.indexOf(name));
const rolesOf = names.map((name) => hosts.has(name) ? hosts.get(name).roles : []);
const classOf = names.map((name) => hosts.has(name) ? hosts.get(name).class : "");
const isTarget = names.map((name) => hosts.has(name) && hosts.get(name).managed);
for (const target of targetOf) isTarget[target] = true;

/** Hosts that are alike, by the name of their class; a host alone stands for itself. */
const members = new Map();
names.forEach((name, index) => {
  if (classOf[index]) members.set(classOf[index], [...(members.get(classOf[index]) || []), index]);
});
const MANY = 40;
const byDefault = names.length > MANY ? "class" : "host";
const hasClasses = [...members.values()].some((found) => found.length > 1);

// ---- the state, kept in the address behind the #

const FIELDS = ["from", "to", "role", "service", "flow", "outcome", "verdict", "by", "cells", "find"];
// These are no filters of the matrix, so nothing clears them.
const OPTIONS = ["by", "cells", "find"];
const state = {...Object.fromEntries(FIELDS.map((field) => [field, ""])), theme: "", open: null, rows: new Set(),
               columns: new Set()};

function readState() {
  const said = new URLSearchParams(location.hash.slice(1));
  for (const field of [...FIELDS, "theme"]) state[field] = said.get(field) || "";
  state.rows = new Set(said.getAll("row"));
  state.columns = new Set(said.getAll("column"));
  const [found, source, target] = ["found", "source", "target"].map((name) => said.get(name));
  state.open = found ? {found} : source && target ? {source, target} : null;
}

function writeState() {
  const said = new URLSearchParams();
  for (const field of [...FIELDS, "theme"]) if (state[field]) said.append(field, state[field]);
  for (const row of state.rows) said.append("row", row);
  for (const column of state.columns) said.append("column", column);
  for (const [key, text] of Object.entries(state.open || {})) said.append(key, text);
  const hash = said.toString();
  if (hash !== location.hash.slice(1)) history.replaceState(null, "", `#${hash}`);
}

// ---- which connections, rows and columns

/** Whether each connection passes the filters, as 0 or 1. */
function chosen() {
  const from = state.from.toLowerCase();
  const to = state.to.toLowerCase();
  const comes = names.map((name) => name.toLowerCase().includes(from));
  const goes = names.map((name) => name.toLowerCase().includes(to));
  const role = names.map((name, index) => !state.role || rolesOf[index].includes(state.role));
  const service = state.service && coded("services", (list) => list.includes(state.service));
  const flow = state.flow && coded("flow", (name) => name === state.flow);
  const verdict = state.verdict ? VERDICTS.indexOf(state.verdict) : -1;
  const outcome = state.outcome && state.outcome !== "untested" ? OUTCOMES.indexOf(state.outcome) : -1;
  return Uint8Array.from({length: total}, (unused, cell) => {
    const source = sourceOf[cell];
    const target = targetOf[cell];
    return comes[source] && goes[target] && (role[source] || role[target]) && (!service || service[cell])
      && (!flow || flow[cell])
      && (verdict < 0 || verdictOf[cell] === verdict) && (outcome < 0 || outcomeOf[cell] === outcome);
  });
}

/** The lines of one side: `{key, label, hosts, folded, inner}`, classes with the hosts that they are unfolded to. */
function lines(indexes, unfolded) {
  const host = (index, inner) => ({key: names[index], label: names[index], hosts: [index], folded: null, inner});
  const kind = (index) => members.has(classOf[index]) && members.get(classOf[index]).length > 1 ? classOf[index] : "";
  if ((state.by || byDefault) === "host") return indexes.map((index) => host(index, false));
  const groups = new Map();
  for (const index of indexes) {
    const key = kind(index) ? `class:${kind(index)}` : names[index];
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(index);
  }
  return [...groups].flatMap(([key, found]) => {
    if (!kind(found[0])) return [host(found[0], false)];
    const folded = !unfolded.has(key);
    const line = {key, label: `${kind(found[0])} (${number.format(found.length)})`, hosts: found, folded, inner: false};
    return folded ? [line] : [line, ...found.map((index) => host(index, true))];
  });
}

/** For each host the numbers of the lines that it is in. */
function linesOf(side) {
  const found = names.map(() => []);
  side.forEach((line, index) => line.hosts.forEach((host) => found[host].push(index)));
  return found;
}

/** What was tried by row and column, as {cells, tally, open}; nothing where no connection was tried. */
function counted(rows, columns, mask) {
  const inRow = linesOf(rows);
  const inColumn = linesOf(columns);
  const pairs = new Map();
  for (let cell = 0; cell < total; cell += 1) {
    if (!mask[cell]) continue;
    for (const row of inRow[sourceOf[cell]]) {
      for (const column of inColumn[targetOf[cell]]) {
        const key = row * columns.length + column;
        let pair = pairs.get(key);
        if (!pair) pairs.set(key, pair = {cells: [], tally: [0, 0, 0], open: 0});
        pair.cells.push(cell);
        pair.tally[verdictOf[cell]] += 1;
        if (outcomeOf[cell] === 0) pair.open += 1;
      }
    }
  }
  return pairs;
}

const isSame = (row, column) => row.hosts.length === 1 && column.hosts.length === 1 && row.hosts[0] === column.hosts[0];
const all = new Uint8Array(total).fill(1);
let matrix = {rows: [], columns: [], pairs: new Map(), tried: new Map()};

/** Make the matrix anew from the filters, and say what it shows. */
function filter() {
  const mask = state.outcome === "untested" ? new Uint8Array(total) : chosen();
  const named = (index, part) => names[index].toLowerCase().includes(part.toLowerCase());
  const every = names.map((name, index) => index);
  let rows = lines(every.filter((index) => named(index, state.from)), state.rows);
  let columns = lines(every.filter((index) => isTarget[index] && named(index, state.to)), state.columns);
  let pairs = counted(rows, columns, mask);
  if (state.role || state.service || state.flow || state.verdict || (state.outcome && state.outcome !== "untested")) {
    const width = columns.length;
    const usedRows = new Set();
    const usedColumns = new Set();
    for (const key of pairs.keys()) {
      usedRows.add(Math.floor(key / width));
      usedColumns.add(key % width);
    }
    rows = rows.filter((row, index) => usedRows.has(index));
    columns = columns.filter((column, index) => usedColumns.has(index));
    pairs = counted(rows, columns, mask);
  }
  matrix = {rows, columns, pairs, tried: counted(rows, columns, all)};
  tellStatus(mask);
}

function tellStatus(mask) {
  const {rows, columns} = matrix;
  const size = `${plural(rows.length, "row")}, ${plural(columns.length, "column")}`;
  if (state.outcome === "untested") {
    const count = untriedPairs();
    const said = [`Showing ${plural(count.untested, "pair")} not tested.`, count.shared
      && `Of ${plural(count.shared, "more pair")}, hosts of the same classes were tested.`, `${size}.`];
    byId("status").textContent = said.filter(Boolean).join(" ");
  } else {
    const count = mask.reduce((sum, one) => sum + one, 0);
    byId("status").textContent = `Showing ${number.format(count)} of ${plural(total, "connection")}. ${size}.`;
  }
}

// ---- what stands in for a pair that was not tried: another pair of the same classes

const kinds = [...new Set(names.map((name, index) => classOf[index] || name))];
const numberOf = new Map(kinds.map((kind, index) => [kind, index]));
const kindOf = names.map((name, index) => numberOf.get(classOf[index] || name));
const pairOf = (source, target) => source * names.length + target;
const kindsOf = (source, target) => kindOf[source] * kinds.length + kindOf[target];
/** Pairs that the report says were left out, and why: nothing stands in for them. */
const leftOut = new Set(packed.not_tested.filter(({source, target}) => place.has(source) && place.has(target))
  .map(({source, target}) => pairOf(place.get(source), place.get(target))));
/** By pair of classes what was tried: the first pair, and by target and by source the pair with the worst verdict. */
const triedOf = new Map();
for (let cell = 0; cell < total; cell += 1) {
  const [source, target, verdict] = [sourceOf[cell], targetOf[cell], verdictOf[cell]];
  const key = kindsOf(source, target);
  let tried = triedOf.get(key);
  if (!tried) triedOf.set(key, tried = {first: {source, target}, to: new Map(), from: new Map()});
  for (const [side, end] of [[tried.to, target], [tried.from, source]]) {
    const worst = side.get(end);
    if (!worst || worst.verdict < verdict) side.set(end, {source, target, verdict});
  }
}

function isShared(row, column) {
  const [source, target] = [row.hosts[0], column.hosts[0]];
  const isLeftOut = row.hosts.length === 1 && column.hosts.length === 1 && leftOut.has(pairOf(source, target));
  return !isLeftOut && triedOf.has(kindsOf(source, target));
}

/** How many pairs were not tried: those for which nothing stands in, and the others. There may be millions of pairs. */
function untriedPairs() {
  const {rows, columns, tried} = matrix;
  const byKind = (side) => side.reduce((counts, {hosts: [host]}) =>
    counts.set(kindOf[host], (counts.get(kindOf[host]) || 0) + 1), new Map());
  const single = (side) => new Map(side.flatMap(({hosts}, index) => hosts.length === 1 ? [[hosts[0], index]] : []));
  const [rowKinds, columnKinds, row, column] = [byKind(rows), byKind(columns), single(rows), single(columns)];
  const same = [...row.keys()].filter((host) => column.has(host));
  const isUntried = ([source, target]) => row.has(source) && column.has(target) && source !== target
    && triedOf.has(kindsOf(source, target)) && !tried.has(row.get(source) * columns.length + column.get(target));
  let shared = -tried.size - same.filter((host) => triedOf.has(kindsOf(host, host))).length
    - [...leftOut].map((pair) => [Math.floor(pair / names.length), pair % names.length]).filter(isUntried).length;
  for (const key of triedOf.keys()) {
    shared += (rowKinds.get(Math.floor(key / kinds.length)) || 0) * (columnKinds.get(key % kinds.length) || 0);
  }
  return {shared, untested: rows.length * columns.length - tried.size - same.length - shared};
}

/** The pair that stands in for two lines, if possible with one end of them; null if no pair of their classes was tried. */
function standInOf(row, column) {
  if (!isShared(row, column)) return null;
  const {first, to, from} = triedOf.get(kindsOf(row.hosts[0], column.hosts[0]));
  const target = column.hosts.find((host) => to.has(host));
  const source = row.hosts.find((host) => from.has(host));
  return target !== undefined ? to.get(target) : source !== undefined ? from.get(source) : first;
}

const kindHasMany = (host) => (members.get(classOf[host]) || []).length > 1;
const standInText = ({source, target}) => `as ${names[source]} → ${names[target]}`;

// ---- the ports of a pair

const portText = (cell) => `${value("port", cell)}/${value("protocol", cell)}`;
const known = new WeakMap();

/** The ports of connections by what they are: wrong, unknown, open or closed. A port counts once, as the worst. */
function portsOf(cells) {
  if (known.has(cells)) return known.get(cells);
  const rank = (cell) => verdictOf[cell] ? verdictOf[cell] + 1 : outcomeOf[cell] === 0 ? 1 : 0;
  const ranks = new Map();
  const named = new Map();
  for (const cell of cells) {
    const text = portText(cell);
    ranks.set(text, Math.max(ranks.get(text) || 0, rank(cell)));
    named.set(text, value("services", cell));
  }
  const sorted = [...ranks.keys()].sort(byPort);
  const ranked = (wanted) => sorted.filter((text) => ranks.get(text) === wanted);
  const ports = {wrong: ranked(3), unknown: ranked(2), open: ranked(1), closed: ranked(0), named};
  known.set(cells, ports);
  return ports;
}

/** TCP before UDP, and by number. */
function byPort(one, other) {
  const [port, protocol] = one.split("/");
  const [otherPort, otherProtocol] = other.split("/");
  return protocol === otherProtocol ? port - otherPort : protocol < otherProtocol ? -1 : 1;
}

/** Ports in one text, with each protocol once: `22, 6817/tcp, 53/udp`. */
function portsText(ports) {
  return ports.map((text, index) => {
    const [port, protocol] = text.split("/");
    return (ports[index + 1] || "").endsWith(`/${protocol}`) ? port : text;
  }).join(", ");
}

// ---- the matrix on the screen: only what is visible is drawn

const scroll = byId("scroll");
const size = byId("size");
const view = byId("view");
const grid = byId("grid");
const active = {row: 0, column: 0};
let drawn = {row: 0, column: 0, rows: 0, columns: 0};

let room = {};
const limit = (least, wanted, most) => Math.max(least, Math.min(wanted, most));
const showsPorts = () => state.cells === "ports";

const pen = document.createElement("canvas").getContext("2d");
const widths = {bold: new Map(), small: new Map()};

/** How wide a text is in the matrix: in bold letters, or in the small ones of a cell that was not tried. */
function widthOf(text, letters = "bold") {
  const shape = text.replace(/[0-9]/g, "0"); // all digits are of one width
  const measured = widths[letters];
  if (!measured.has(shape)) {
    const {fontSize, fontFamily} = getComputedStyle(grid);
    const size = parseFloat(fontSize);
    pen.font = `${letters === "bold" ? `700 ${size}` : `400 ${size * SMALL}`}px ${fontFamily}`;
    measured.set(shape, pen.measureText(shape).width);
  }
  return measured.get(shape);
}

/** How wide cells are: what the longest number needs, and the hosts that may stand in, but for those that are too long. */
function cellWidth(isNarrow) {
  if (showsPorts()) return isNarrow ? 132 : 156;
  let widest = isNarrow ? 62 : 70;
  for (const pair of matrix.pairs.values()) widest = Math.max(widest, widthOf(countText(pair, number.format)) + PADDING);
  const hosts = matrix.rows.filter((line) => line.hosts.length === 1 && kindHasMany(line.hosts[0]));
  const needed = hosts.map((line) => widthOf(line.label, "small") + NARROW_PADDING).filter((width) => width <= 92);
  return Math.ceil(Math.min(needed.reduce((most, width) => Math.max(most, width), widest), isNarrow ? 104 : 112));
}

/** How large the headers are: what the names need, if the cells leave it, or else a part of the whole. */
function headSize(cell, isNarrow) {
  const width = (line) => widthOf(headText(line)) + (line.inner ? 13 : 0);
  const longest = (side) => side.reduce((most, line) => Math.max(most, width(line)), 0);
  const space = {width: byId("filters").clientWidth - 20, // without a scroll bar
                 height: parseFloat(getComputedStyle(scroll).maxHeight) - 2};
  const most = {width: Math.max(space.width - matrix.columns.length * cell.width, isNarrow ? 150 : space.width * 0.3),
                height: Math.max(space.height - matrix.rows.length * cell.height, isNarrow ? 150 : space.height * 0.42)};
  const isFlat = longest(matrix.columns) <= cell.width - PADDING;
  grid.classList.toggle("flat", isFlat);
  return {width: Math.floor(limit(100, longest(matrix.rows) + 14, most.width)),
          height: isFlat ? 34 : Math.floor(limit(60, longest(matrix.columns) + 20, most.height))};
}

/** Give the headers and cells their size, and the place to scroll in the size of all lines. */
function makeRoom() {
  const isNarrow = matchMedia("(max-width: 640px)").matches;
  const cell = {width: cellWidth(isNarrow), height: showsPorts() ? 42 : isNarrow ? 34 : 28};
  const head = headSize(cell, isNarrow);
  for (const [name, pixels] of [["head-width", head.width], ["head-height", head.height], ["cell-width", cell.width],
                                ["cell-height", cell.height]]) scroll.style.setProperty(`--${name}`, `${pixels}px`);
  const whole = {width: head.width + matrix.columns.length * cell.width,
                 height: head.height + matrix.rows.length * cell.height};
  const at = {top: scroll.scrollTop, left: scroll.scrollLeft};
  size.style.width = `${whole.width}px`;
  size.style.height = `${whole.height}px`;
  const fits = {width: whole.width <= scroll.clientWidth, height: whole.height <= scroll.clientHeight};
  // One more, so that the last line can be scrolled to as a whole.
  if (!fits.width) size.style.width = `${whole.width + cell.width}px`;
  if (!fits.height) size.style.height = `${whole.height + cell.height}px`;
  scroll.scrollTo(at.left, at.top);
  room = {head, cell, whole, fits};
}

/** The first line to draw on each side, from the place scrolled to, and how many lines fit. */
function visible() {
  const {head, cell, whole, fits} = room;
  const {clientWidth, clientHeight} = scroll;
  view.style.width = `${Math.min(whole.width, clientWidth)}px`;
  view.style.height = `${Math.min(whole.height, clientHeight)}px`;
  const first = (at, step, count) => Math.max(0, Math.min(Math.round(at / step), count - 1));
  return {fit: {rows: (clientHeight - head.height) / cell.height, columns: (clientWidth - head.width) / cell.width},
          row: fits.height ? 0 : first(scroll.scrollTop, cell.height, matrix.rows.length),
          column: fits.width ? 0 : first(scroll.scrollLeft, cell.width, matrix.columns.length)};
}

function draw() {
  const hadFocus = view.contains(document.activeElement);
  const seen = visible();
  drawn = {row: seen.row, column: seen.column,
           rows: Math.max(Math.ceil(seen.fit.rows), 1), columns: Math.max(Math.ceil(seen.fit.columns), 1)};
  const rows = matrix.rows.slice(drawn.row, drawn.row + drawn.rows);
  const columns = matrix.columns.slice(drawn.column, drawn.column + drawn.columns);
  grid.setAttribute("aria-rowcount", matrix.rows.length + 1);
  grid.setAttribute("aria-colcount", matrix.columns.length + 1);
  const head = make("thead", {}, make("tr", {"aria-rowindex": 1},
    make("td", {class: "corner", "aria-colindex": 1}, "from ↓ to →"),
    ...columns.map((column, index) => header(column, "col", -1, drawn.column + index))));
  const body = make("tbody", {}, ...rows.map((row, r) => make("tr", {"aria-rowindex": drawn.row + r + 2},
    header(row, "row", drawn.row + r, -1),
    ...columns.map((column, c) => gridCell(row, column, drawn.row + r, drawn.column + c)))));
  grid.replaceChildren(head, body);
  view.scrollTop = 0;
  view.scrollLeft = 0;
  const current = cellAt(active.row, active.column);
  (current || grid.querySelector("tbody [data-row]") || scroll).tabIndex = 0;
  if (hadFocus) (current || view).focus({preventScroll: true});
  point();
}

const cellAt = (row, column) => grid.querySelector(`[data-row="${row}"][data-column="${column}"]`);

function header(line, scope, row, column) {
  const open = line.folded === null ? null : String(!line.folded);
  const role = scope === "col" ? "columnheader" : "rowheader";
  return make("th", {scope, role, class: line.inner ? "inner" : "", title: line.label, "aria-label": line.label,
                     "aria-expanded": open, "aria-colindex": column + 2, tabindex: -1, "data-row": row,
                     "data-column": column},
              make("span", {}, headText(line)));
}

const headText = (line) => (line.folded === null ? "" : line.folded ? "▸ " : "▾ ") + line.label;
// What a cell needs beside its text.
const PADDING = 11;
const NARROW_PADDING = 6;
// How large the letters of a cell that was not tried are, to those of the others; as in the style.
const SMALL = 0.83;
const verdictIn = (pair) => pair.tally[2] ? "wrong" : pair.tally[1] ? "unknown" : "right";

// The number that matters in a cell: of those that are wrong, else unknown, else open.
const countIn = (pair) => verdictIn(pair) === "right" ? pair.open : pair.tally[VERDICTS.indexOf(verdictIn(pair))];
const countText = (pair, written) =>
  `${MARKS[verdictIn(pair)]} ${written(countIn(pair))}/${written(pair.cells.length)}`;

function countWords(pair) {
  const [verdict, count, all] = [verdictIn(pair), countIn(pair), pair.cells.length];
  return verdict === "right" ? `all ${all} right, ${count} open` : `${count} of ${all} ${verdict}`;
}

/** As many ports as there is room for, and how many more there are. */
function fitted(mark, ports) {
  const texts = ports.slice(0, 12).map((unused, index) => {
    const rest = ports.length - index - 1;
    return `${mark} ${portsText(ports.slice(0, index + 1))}${rest ? ` +${number.format(rest)}` : ""}`;
  });
  return texts.filter((text, index) => !index || widthOf(text) <= room.cell.width - PADDING).pop();
}

/** The lines of a cell that shows ports: those that are wrong or unknown, and those that are open. */
function portLines(pair) {
  const ports = portsOf(pair.cells);
  const bad = ["wrong", "unknown"].find((verdict) => ports[verdict].length);
  const lines = [bad && fitted(MARKS[bad], ports[bad]), ports.open.length && fitted(MARKS.right, ports.open)];
  return lines.some(Boolean) ? lines.filter(Boolean) : [`${MARKS.right} –`];
}

/** The ports in words, by what they are. */
function portWords(cells, most) {
  const ports = portsOf(cells);
  return ["wrong", "unknown", "open"].filter((word) => ports[word].length)
    .map((word) => [word, some(ports[word].map((text) => [text, ...ports.named.get(text)].join(" ")), most)])
    .concat(ports.closed.length ? [["closed", plural(ports.closed.length, "port")]] : []);
}

/** What stands in, as short as there is room for in two lines. */
function standInLines(other, row, column) {
  const [source, target] = [names[other.source], names[other.target]];
  const words = column.hosts.includes(other.target) ? ["as", source]
    : row.hosts.includes(other.source) ? ["as", `→ ${target}`] : [`as ${source}`, `→ ${target}`];
  const fits = (text) => widthOf(text, "small") <= room.cell.width - NARROW_PADDING;
  if (fits(words.join(" "))) return [words.join(" ")];
  return words.every(fits) ? words : ["as others"];
}

/** How a cell looks and what a screen reader says of it. */
function looks(row, column, r, c) {
  const pair = matrix.pairs.get(r * matrix.columns.length + c);
  const where = `${row.label} to ${column.label}: `;
  const wasTried = matrix.tried.has(r * matrix.columns.length + c);
  if (isSame(row, column)) return {kind: "none", lines: [], label: `${where}the same host`};
  if (!pair && wasTried) return {kind: "none", lines: [], label: `${where}no connection matches the filters`};
  const other = pair ? null : standInOf(row, column);
  if (!pair && other) {
    const label = where + standInText(other);
    return state.outcome === "untested" ? {kind: "none", lines: [], label}
      : {kind: "untested", lines: standInLines(other, row, column), label};
  }
  if (!pair) return {kind: "untested", lines: ["not tested"], label: `${where}not tested`};
  const kind = verdictIn(pair) + (verdictIn(pair) === "right" && pair.open ? " opened" : "");
  const label = where + countWords(pair);
  if (showsPorts()) {
    const said = portWords(pair.cells, 8).filter(([word]) => word !== "closed");
    return {kind, lines: portLines(pair), label: [label, ...said.map((words) => words.join(": "))].join("; ")};
  }
  const whole = countText(pair, number.format);
  return {kind, lines: [widthOf(whole) <= room.cell.width - PADDING ? whole : countText(pair, short)], label};
}

/** A cell. Where it is shorter than what it says, a tooltip has the whole. */
function gridCell(row, column, r, c) {
  const {kind, lines, label} = looks(row, column, r, c);
  const isShort = /[0-9][kM]/.test(lines[0]) || lines[0] === "as others";
  return make("td", {class: kind, "aria-label": label, tabindex: -1, "data-row": r, "data-column": c,
                     "aria-colindex": c + 2, title: isShort && label},
              ...lines.length > 1 ? lines.map((line) => make("span", {}, line)) : lines);
}

// ---- the line below the matrix: the ports of the cell that is pointed at, or else has the focus

let pointed = null;

function pointAt(event) {
  const cell = event.target.closest("[data-row]");
  const at = cell && {row: Number(cell.dataset.row), column: Number(cell.dataset.column)};
  if (at && pointed && at.row === pointed.row && at.column === pointed.column) return;
  pointed = at;
  point();
}

function point() {
  const hasFocus = grid.contains(document.activeElement);
  const {row, column} = pointed || (hasFocus ? active : {row: -1, column: -1});
  const [source, target] = [matrix.rows[row], matrix.columns[column]];
  byId("pointed").replaceChildren(...source && target ? aboutPair(source, target, row * matrix.columns.length + column)
    : source || target ? aboutLine(source || target)
      : [make("span", {class: "quiet"}, "Point at a cell, or move to it with the arrow keys: here are its ports.")]);
}

const aboutLine = (line) => [make("strong", {}, line.label),
  line.hosts.length > 1 ? `: ${some(line.hosts.map((host) => names[host]), 12)}` : ""];

function aboutPair(row, column, key) {
  if (isSame(row, column)) return [make("strong", {}, row.label), " is both the source and the target."];
  const title = make("strong", {}, `${row.label} → ${column.label}`);
  const pair = matrix.pairs.get(key);
  if (pair) return [title, `: ${countWords(pair)}.`, ...aboutPorts(pair.cells)];
  if (matrix.tried.has(key)) return [title, ": no connection matches the filters."];
  const other = standInOf(row, column);
  if (!other) return [title, ": not tested."];
  return [title, " was not tried itself, but ", make("strong", {}, standInText(other).slice(3)),
          " was, with hosts of the same classes.", ...aboutPorts(cellsBetween([other.source], [other.target]))];
}

const aboutPorts = (cells) => portWords(cells, 6).flatMap(([word, ports]) => [" ",
  make("span", {class: `about ${word}`}, make("b", {}, word), ` ${ports}`)]);

// ---- moving in the matrix

/** Make a cell the one that the keyboard is on, and scroll to it. */
function moveTo(row, column) {
  active.row = Math.max(-1, Math.min(row, matrix.rows.length - 1));
  active.column = Math.max(active.row < 0 ? 0 : -1, Math.min(column, matrix.columns.length - 1));
  const seen = visible();
  const fit = {rows: Math.max(Math.floor(seen.fit.rows), 1), columns: Math.max(Math.floor(seen.fit.columns), 1)};
  if (active.row >= 0) scroll.scrollTop = room.cell.height * within(active.row, seen.row, fit.rows);
  if (active.column >= 0) scroll.scrollLeft = room.cell.width * within(active.column, seen.column, fit.columns);
  draw();
  const cell = cellAt(active.row, active.column);
  if (!cell) return;
  cell.focus({preventScroll: true});
  const {top, bottom} = cell.getBoundingClientRect();
  if (bottom > innerHeight) scrollBy(0, bottom - innerHeight + 8);
  else if (top < 0) scrollBy(0, top - 8);
}

/** The first line to show so that one is among those that fit. */
const within = (line, first, fit) => line < first ? line : line >= first + fit ? line - fit + 1 : first;

/** The cell that has the focus is the one that the keyboard is on, and the one that Tab comes back to. */
function onFocus(event) {
  const cell = event.target.closest("[data-row]");
  if (!cell) return;
  active.row = Number(cell.dataset.row);
  active.column = Number(cell.dataset.column);
  for (const other of grid.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
  cell.tabIndex = 0;
  pointed = null;
  point();
}

function onKey(event) {
  const page = Math.max(drawn.rows - 2, 1);
  const far = event.ctrlKey || event.metaKey;
  const last = {row: matrix.rows.length - 1, column: matrix.columns.length - 1};
  const moves = {
    ArrowUp: [active.row - 1, active.column], ArrowDown: [active.row + 1, active.column],
    ArrowLeft: [active.row, active.column - 1], ArrowRight: [active.row, active.column + 1],
    PageUp: [Math.max(active.row - page, 0), active.column], PageDown: [active.row + page, active.column],
    Home: [far ? 0 : active.row, -1], End: [far ? last.row : active.row, last.column],
  };
  if (moves[event.key]) moveTo(...moves[event.key]);
  else if (event.key === "Enter" || event.key === " ") act(active.row, active.column);
  else return;
  event.preventDefault();
}

/** Fold or unfold a class, or open a cell. */
function act(row, column) {
  const line = row < 0 ? matrix.columns[column] : matrix.rows[row];
  if (row >= 0 && column >= 0) openPair(matrix.rows[row], matrix.columns[column]);
  else if (line && line.folded !== null) {
    const unfolded = row < 0 ? state.columns : state.rows;
    if (line.folded) unfolded.add(line.key);
    else unfolded.delete(line.key);
    writeState();
    apply();
  }
}

function onClick(event) {
  const cell = event.target.closest("[data-row]");
  if (!cell) return;
  moveTo(Number(cell.dataset.row), Number(cell.dataset.column));
  act(active.row, active.column);
}

// ---- what is wrong

/** Connections with one verdict that belong together: between two classes, by one flow, with one cause. */
function gathered(verdict) {
  const groups = new Map();
  const wanted = VERDICTS.indexOf(verdict);
  for (let cell = 0; cell < total; cell += 1) {
    if (verdictOf[cell] !== wanted) continue;
    const ends = [sourceOf[cell], targetOf[cell]].map((index) => classOf[index] || names[index]);
    const diagnosis = value("diagnosis", cell);
    const cause = diagnosis ? diagnosis.code : value("why", cell);
    const key = JSON.stringify([...ends, value("flow", cell), value("intended", cell), cause]);
    if (!groups.has(key)) groups.set(key, {verdict, cells: []});
    groups.get(key).cells.push(cell);
  }
  return [...groups.values()].sort((one, other) => other.cells.length - one.cells.length);
}

const found = [...gathered("wrong"), ...gathered("unknown")];
const distinct = (cells, what) => [...new Set(cells.map(what))].sort(collator.compare);
const endsOf = (cells) => [sourceOf, targetOf]
  .map((end) => some(distinct(cells, (cell) => names[end[cell]]))).join(" → ");
const mark = (verdict, text) => make("span", {class: `mark ${verdict}`}, `${MARKS[verdict]} ${text || verdict}`);

/** One sentence on a connection: the diagnosis, or why it has its verdict. */
const reason = (cell) => (value("diagnosis", cell) || {text: value("why", cell)}).text;
const should = (cell) => value("intended", cell) === "filtered" ? "should not pass: no flow allows it"
  : value("flow", cell) ? `should pass: flow ${value("flow", cell)} allows it` : "should pass";

const where = (text) => make("span", {class: "where"}, text);
const what = (text) => make("span", {class: "what"}, text);

function foundItem(item, index) {
  const first = item.cells[0];
  const ports = some(distinct(item.cells, portText), 4);
  const count = item.cells.length > 1 ? `${plural(item.cells.length, "connection")}. ` : "";
  return make("li", {}, make("button", {type: "button", "data-found": index, onclick: () => openFound(index)},
    mark(item.verdict), " ", where(endsOf(item.cells)), ` ${ports}, ${should(first)}`, what(count + reason(first))));
}

function policyItem(name, verdict) {
  const {objects, reason} = hosts.get(name);
  const isWrong = verdict === "wrong";
  return make("li", {}, make("div", {}, mark(verdict), " ", where(name),
    isWrong ? " does not run its policy" : ": it is not known whether this host runs its policy",
    what(isWrong ? `Different from its policy: ${some(objects, 8)}` : reason || "Its rules could not be read.")));
}

function showFound() {
  const managed = names.filter((name) => hosts.has(name) && hosts.get(name).managed);
  const items = ["wrong", "unknown"].flatMap((verdict) => [
    ...managed.filter((name) => hosts.get(name).is_equal === (verdict === "wrong" ? false : null))
      .map((name) => () => policyItem(name, verdict)),
    ...found.flatMap((item, index) => item.verdict === verdict ? [() => foundItem(item, index)] : []),
  ]);
  const list = make("ul", {});
  const nothing = total ? mark("right", "Nothing: every connection that was tried is right, and every host runs its policy.")
    : mark("unknown", "No connection was tried, so nothing is known.");
  byId("found").append(...(items.length ? [list, fill(list, items, (item) => item(), 12)] : [make("p", {}, nothing)]));
  const isWrong = packed.summary.wrong || managed.some((name) => hosts.get(name).is_equal === false);
  if (items.length && !isWrong) byId("found-title").textContent = "What is unknown";
}

// ---- the summary

function showSummary() {
  const {summary, mode} = packed;
  byId("inventory").textContent = packed.inventory.join(", ");
  byId("made").textContent = `${packed.made.replace("T", " ").replace("Z", " UTC")}, mode ${mode}`;
  const figure = (kind, sign, word, show) => make("button", {type: "button", class: kind, onclick: show},
    make("strong", {}, `${sign} ${number.format(summary[word.replace(" ", "_")])}`), make("span", {}, word));
  const kind = (word) => summary[word] ? `${word} some` : word;
  const verdict = (word) => figure(kind(word), MARKS[word], word, () => only("verdict", word));
  byId("totals").append(...["wrong", "unknown", "right"].map(verdict),
    figure("", "–", "not tested", () => only("outcome", "untested")));
  const count = (word) => plural(summary[`${word}s`], word);
  const facts = [`${count("connection")} from ${count("source")} to ${count("target")}.`, summary.outsiders.length
    ? `From outside the managed groups: ${some(summary.outsiders, 6)}.`
    : "No host outside the managed groups took part: nothing shows that strangers are blocked."];
  if (summary.from_containers !== null) {
    facts.push(`From containers of hosts with restricted egress: ${plural(summary.from_containers, "connection")}.`);
  }
  if (mode === "passive") {
    facts.push("Passive mode: verify started no listeners. On a port where nothing listens, no answer and a refusal do "
      + "not show what the firewall does.");
  }
  byId("facts").append(...facts.map((text) => make("li", {class: "break"}, text)));
}

function only(field, value) {
  for (const name of FIELDS) if (!OPTIONS.includes(name)) state[name] = "";
  state[field] = value;
  changed();
  byId("matrix-title").scrollIntoView();
  byId("matrix-title").focus({preventScroll: true});
}

/** One line of what was left out. */
function skippedItem({source, target, connections, reason}) {
  const pair = source || target ? `${source || "several"} → ${target || "several"}` : "Several hosts";
  return make("li", {}, make("div", {}, where(pair), `, ${plural(connections, "connection")}`, what(reason)));
}

function showUntested() {
  const list = make("ul", {});
  const nothing = make("p", {class: "quiet"}, "Nothing was left out between the hosts and classes that took part.");
  const items = packed.not_tested;
  byId("untested").append(...(items.length ? [list, fill(list, items, skippedItem, 8)] : [nothing]));
}

// ---- what is open to networks outside

/** Classes with the same openings share them: `[{targets, openings}]`, those with most openings first. */
function outsideGroups() {
  const openings = new Map();
  for (const {to, ...opening} of packed.outside) openings.set(to, [...(openings.get(to) || []), opening]);
  const groups = new Map();
  for (const [target, list] of openings) {
    const key = JSON.stringify(list);
    if (!groups.has(key)) groups.set(key, {targets: [], openings: list});
    groups.get(key).targets.push(target);
  }
  return [...groups.values()].sort((one, other) => other.openings.length - one.openings.length
    || collator.compare(one.targets[0], other.targets[0]));
}

/** The name of a class, and how many hosts are in it; a host alone stands for itself. */
function classText(name) {
  const found = members.get(name) || [];
  return found.length === 1 ? names[found[0]] : `${name} (${number.format(found.length)})`;
}

function outsideBody({targets, openings}) {
  const texts = targets.map(classText).sort(collator.compare);
  const head = make("th", {scope: "rowgroup", rowspan: openings.length, class: "wraps", title: texts.join(", ")},
    ...some(texts, 4).split(/(?<=[+])/).flatMap((part) => [part, make("wbr")])); // between the groups of a class
  return make("tbody", {}, ...openings.map(({flow, services, ports, endpoints, networks}, index) => make("tr", {},
    index ? null : head,
    ...[some(ports, 6), some(services, 6), flow, some(endpoints, 4), some(networks, 6)]
      .map((text) => make("td", {class: text === flow ? "" : "wraps"}, text || "–")))));
}

function heads(texts, numbers = []) {
  const head = (text) => make("th", {scope: "col", class: numbers.includes(text) && "number"}, text);
  return make("thead", {}, make("tr", {}, ...texts.map(head)));
}

function showOutside() {
  const groups = outsideGroups();
  if (!groups.length) {
    byId("outside").append(make("p", {class: "quiet"},
      "Nothing: no flow opens a port of these hosts to addresses outside the inventory."));
    return;
  }
  const table = make("table", {class: "list"}, heads(["To", "Ports", "Services", "Flow", "From endpoints", "Networks"]));
  const region = {class: "region tall", tabindex: 0, role: "group", "aria-labelledby": "outside-title"};
  byId("outside").append(make("div", region, table), fill(table, groups, outsideBody, 12), make("p", {class: "key"},
    "By the port file. A host in observe mode and a trusted interface accept more."));
}

// ---- the flows

/** By flow how many connections it allows, by verdict, and how many were open. */
const uses = new Map();
for (let cell = 0; cell < total; cell += 1) {
  const name = value("flow", cell);
  if (!uses.has(name)) uses.set(name, {count: 0, tally: [0, 0, 0], open: 0});
  const use = uses.get(name);
  use.count += 1;
  use.tally[verdictOf[cell]] += 1;
  if (outcomeOf[cell] === 0) use.open += 1;
}

/** The flows that are on, the worst first, and those that no probe used last. */
function flowsToShow() {
  const part = state.find.toLowerCase();
  const words = ([name, flow]) => [name, flow.title, ...flow.from, ...flow.to, ...flow.services].join(" ").toLowerCase();
  const use = ([name]) => uses.get(name) || {count: 0, tally: [0, 0, 0]};
  const rank = (item) => [use(item).tally[2], use(item).tally[1], use(item).count ? 1 : 0];
  return [...flows].filter((item) => item[1].is_on && words(item).includes(part)
      && (!state.service || item[1].services.includes(state.service)))
    .sort((one, other) => {
      const [more, less] = [rank(other), rank(one)];
      const index = more.findIndex((count, place) => count !== less[place]);
      return index < 0 ? collator.compare(one[0], other[0]) : more[index] - less[index];
    });
}

const FLOW_HEADS = ["Flow", "From", "To", "Services", "Need", "Tried", "Open", "Wrong", "Unknown", "Right"];

function showFlows() {
  const list = flowsToShow();
  const on = [...flows.values()].filter((flow) => flow.is_on);
  const off = flows.size - on.length;
  byId("flows-count").textContent = `Showing ${number.format(list.length)} of ${plural(on.length, "flow")} that `
    + `${on.length === 1 ? "is" : "are"} on.${off ? ` ${number.format(off)} off.` : ""}`;
  byId("flows").replaceChildren(heads(FLOW_HEADS, FLOW_HEADS.slice(5)), make("tbody", {}, ...list.map(flowRow)));
}

function flowRow([name, flow]) {
  const use = uses.get(name);
  const isChosen = state.flow === name;
  const button = {type: "button", class: "link", "aria-pressed": String(isChosen),
                  onclick: () => only("flow", isChosen ? "" : name)};
  return make("tr", {class: isChosen && "chosen"},
    make("th", {scope: "row", class: "long"}, use ? make("button", button, name) : make("strong", {}, name),
      flow.title && make("span", {class: "what"}, flow.title)),
    ...[flow.from, flow.to, flow.services].map((list) => make("td", {class: "wraps"}, some(list, 4))),
    make("td", {}, flow.need),
    ...use ? useCells(use) : [make("td", {class: "quiet", colspan: 5}, "not probed")]);
}

function useCells({count, open, tally}) {
  const [right, unknown, wrong] = tally;
  const numbers = [["", count], ["", open], ["wrong", wrong], ["unknown", unknown], ["", right]];
  return numbers.map(([kind, amount]) => make("td", {class: `number ${amount ? kind : "quiet"}`},
    (amount && kind ? `${MARKS[kind]} ` : "") + number.format(amount)));
}

// ---- a cell, opened

const dialog = byId("dialog");
let goBack = () => {};

function show(title, children, back) {
  byId("dialog-title").textContent = title;
  byId("inside").replaceChildren(...children);
  goBack = back;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  byId("dialog-title").focus();
}

function openFound(index) {
  state.open = {found: String(index)};
  writeState();
  const {cells} = found[index];
  show(endsOf(cells), connections(cells), () => {
    const button = document.querySelector(`[data-found="${index}"]`);
    (button || byId("found-title")).focus();
  });
}

function openPair(row, column) {
  if (isSame(row, column)) return;
  state.open = {source: row.key, target: column.key};
  writeState();
  const cells = cellsBetween(row.hosts, column.hosts, state.outcome === "untested" ? all : chosen());
  const parts = [ends(row, column), ...connections(cells), ...untested(row, column, cells)];
  show(`${row.label} → ${column.label}`, parts, () => moveTo(active.row, active.column));
}

/** The connections from some hosts to others. */
function cellsBetween(sources, targets, mask = all) {
  const [from, to] = [new Set(sources), new Set(targets)];
  const cells = [];
  for (let cell = 0; cell < total; cell += 1) {
    if (mask[cell] && from.has(sourceOf[cell]) && to.has(targetOf[cell])) cells.push(cell);
  }
  return cells;
}

/** Who the two ends are, where each is one host. */
function ends(row, column) {
  const end = (word, line) => {
    const host = line.hosts.length === 1 && hosts.get(names[line.hosts[0]]);
    if (!host) return make("p", {class: "break"}, make("strong", {}, `${word}: `), line.label);
    const runs = host.is_equal ? "runs its policy" : host.is_equal === false ? "does not run its policy" : "";
    const about = [host.managed ? "" : "not managed", some(host.roles, 5), host.backend, runs].filter(Boolean).join(" · ");
    const addresses = word === "From" && host.source_addresses.length ? host.source_addresses : host.addresses;
    return make("p", {}, make("strong", {}, `${word}: `), line.label,
      make("span", {class: "quiet break"}, about), make("span", {class: "quiet break"}, some(addresses, 4)));
  };
  return make("div", {class: "ends"}, end("From", row), end("To", column));
}

/** What was left out between two lines, and which pairs stand for one that was not tried. */
function untested(row, column, cells) {
  const matches = (name, line) => name === "" || line.hosts.some((index) => names[index] === name);
  const skipped = packed.not_tested.filter((item) => (item.source || item.target)
    && matches(item.source, row) && matches(item.target, column));
  const parts = cells.length ? [] : standIn(row, column);
  if (!skipped.length) return parts;
  const list = make("ul", {});
  return [...parts, make("h3", {}, "Not tested"), make("div", {class: "found"}, list, fill(list, skipped, skippedItem, 10))];
}

/** What a pair without connections can be judged by: the pairs of its classes, and the connections of one of them. */
function standIn(row, column) {
  const said = (head, text) => make("p", {class: "break"}, make("strong", {}, head), ` ${text}`);
  const wanted = kindsOf(row.hosts[0], column.hosts[0]);
  let count = 0;
  for (let cell = 0; cell < total; cell += 1) if (kindsOf(sourceOf[cell], targetOf[cell]) === wanted) count += 1;
  if (!count) {
    return [said("– Not tested.", "No connection between these hosts, or between hosts of their classes, was tried.")];
  }
  const [from, to] = [row, column].map((line) => kinds[kindOf[line.hosts[0]]]);
  const connected = `${plural(count, "connection")} from ${from} to ${to}`;
  const text = `Other hosts of the same classes were tested instead: ${connected}.`;
  const other = standInOf(row, column);
  if (!other) return [said("– Not tested.", text)];
  const title = standInText(other);
  return [said(`${title[0].toUpperCase()}${title.slice(1)}.`, text), make("h3", {class: "break"}, title.slice(3)),
          ...connections(cellsBetween([other.source], [other.target]))];
}

const ALIKE = ["verdict", "flow", "intended", "compiled", "outcome", "denied_by", "rule"];

/** Connections, the worst first; those that differ by host, address or port only share an entry. */
function connections(cells) {
  const groups = new Map();
  for (const cell of cells) {
    const parts = ALIKE.map((name) => value(name, cell));
    const alike = JSON.stringify(verdictOf[cell] === 0 ? parts : [...parts, reason(cell)]);
    if (!groups.has(alike)) groups.set(alike, []);
    groups.get(alike).push(cell);
  }
  const weight = (group) => verdictOf[group[0]] * 2 + (value("intended", group[0]) === "open" ? 1 : 0);
  const sorted = [...groups.values()].sort((one, other) => weight(other) - weight(one) || other.length - one.length);
  const list = make("div", {class: "entries"});
  const isOpen = (group) => sorted.length === 1 || (verdictOf[group[0]] > 0 && sorted.indexOf(group) < 3);
  return cells.length ? [list, fill(list, sorted, (group) => entry(group, isOpen(group)), 25)] : [];
}

function entry(group, open) {
  const first = group[0];
  const verdict = VERDICTS[verdictOf[first]];
  const flow = value("flow", first);
  const head = make("summary", {}, mark(verdict), " ", make("strong", {}, some(distinct(group, portText), 5)),
    ` ${flow ? `flow ${flow}` : "no flow"}: observed ${value("outcome", first)}, intended ${value("intended", first)}`,
    make("span", {class: "quiet"}, ` (${plural(group.length, "connection")})`));
  const details = make("details", {class: `entry ${verdict}`, open}, head);
  const load = () => details.children.length < 2 && details.append(entryBody(group));
  details.addEventListener("toggle", load);
  if (open) load();
  return details;
}

function entryBody(group) {
  const first = group[0];
  const diagnosis = value("diagnosis", first);
  const parts = [];
  if (diagnosis) {
    const {code, text, advice} = diagnosis;
    parts.push(make("div", {class: "says"}, make("p", {}, make("strong", {}, `${TITLES[code] || code}. `), text),
      make("p", {}, make("strong", {}, "What to do: "), advice)));
  }
  if (value("why", first)) parts.push(make("p", {class: "break"}, value("why", first)));
  parts.push(layers(first), flowOf(first), connectionTable(group));
  return make("div", {class: "body"}, ...parts);
}

function layers(cell) {
  const [intended, compiled, outcome] = ["intended", "compiled", "outcome"].map((name) => value(name, cell));
  const layer = (word, said, what, differs) => make("div", {class: differs ? "differs" : ""}, make("dt", {}, word),
    make("dd", {}, differs ? `≠ ${said}` : said, make("small", {}, what)));
  return make("dl", {class: "layers"}, layer("Intended", intended, "the port file", false),
    layer("Compiled", compiled, "the rulesets of the hosts", compiled !== "unknown" && compiled !== intended),
    layer("Observed", outcome, "the probe", outcome !== intended));
}

const DENIED = {source: "the policy of the source does not allow it",
                target: "the policy of the target does not allow it"};
const HELD = {listener: "a listener of verify", service: "a service", nobody: "nothing"};

/** The flow, the rule and who had the port, as pairs; what is empty is left out. */
function flowOf(cell) {
  const name = value("flow", cell);
  const rule = value("rule", cell);
  const denied = DENIED[value("denied_by", cell)];
  const flow = flows.get(name);
  const said = flow ? [
    ["Flow", `${name}${flow.title ? `: ${flow.title}` : ""}`], ["From", flow.from.join(", ")], ["To", flow.to.join(", ")],
    ["Services", flow.services.map(serviceText).join("; ")],
    ["Need", flow.need + (flow.within_cluster ? ", only within a cluster" : "")],
    ["Reference", flow.reference.join("; ")], ["Note", flow.note], ["Denied", denied],
  ] : [["Flow", name || (denied ? `None: ${denied}` : "None is needed")]];
  const all = [...said, ["Rule", rule && make("code", {}, rule)], ["Port used by", HELD[value("held_by", cell)]]];
  return make("dl", {class: "pairs"}, ...all.filter(([, text]) => text)
    .flatMap(([word, text]) => [make("dt", {}, word), make("dd", {}, text)]));
}

const serviceText = (name) => services.has(name) ? `${name} (${services.get(name).ports.join(", ")})` : name;

function timeText(seconds) {
  if (seconds === null) return "–";
  return seconds < 1 ? `${Math.round(seconds * 1e4) / 10} ms` : `${seconds.toFixed(2)} s`;
}

const COUNTERS = [["left", "Left"], ["arrived", "Arrived"], ["passed", "Passed"], ["answered", "Answered"],
                  ["returned", "Returned"]];

/** A table of connections with probe times and counters; source and target only where they differ. */
function connectionTable(group) {
  const dash = (count) => count === null || count === undefined ? "–" : number.format(count);
  const text = (name) => (cell) => value(name, cell);
  const differ = (what) => distinct(group, what).length > 1;
  const source = (cell) => names[sourceOf[cell]];
  const target = (cell) => names[targetOf[cell]];
  const parts = [
    ...(differ(source) ? [["Source", source]] : []), ...(differ(target) ? [["Target", target]] : []),
    ["Address", text("address")], ["Port", portText], ["Service", (cell) => value("services", cell).join(", ")],
    ["Time", (cell) => timeText(value("seconds", cell)), "number"], ["Tries", text("attempts"), "number"],
    ...COUNTERS.map(([name, title]) => [title, (cell) => dash((value("counters", cell) || {})[name]), "number"]),
    ...(group.some(text("detail")) ? [["Detail", text("detail"), "long"]] : []),
  ];
  const row = (cell) => make("tr", {}, ...parts.map(([, said, kind]) => make("td", {class: kind || ""}, said(cell))));
  const body = make("tbody", {});
  const head = make("tr", {}, ...parts.map(([title, , kind]) => make("th", {scope: "col", class: kind || ""}, title)));
  const more = fill(body, group, row, 100);
  const said = "Connections with probe times and packet counters; – means not counted";
  return make("div", {}, make("div", {class: "region", role: "region", tabindex: 0, "aria-label": said},
    make("table", {class: "list"}, make("thead", {}, head), body)), more);
}

// ---- put together

function options(select, said) {
  byId(select).append(...said.map(([key, text]) => new Option(text, key)));
}

function setUp() {
  const sorted = (list) => [...new Set(list)].sort(collator.compare).map((name) => [name, name]);
  options("role", [["", "any"], ...sorted(rolesOf.flat())]);
  options("service", [["", "any"], ...sorted(columns.get("services").values.flat())]);
  options("flow", [["", "any"], ...sorted(columns.get("flow").values.filter(Boolean))]);
  options("outcome", [["", "any"], ...OUTCOMES.map((name) => [name, name]), ["untested", "not tested"]]);
  options("verdict", [["", "any"], ...["wrong", "unknown", "right"].map((name) => [name, `${MARKS[name]} ${name}`])]);
  options("by", [["class", "one per class"], ["host", "one per host"]]);
  options("cells", [["", "counts"], ["ports", "ports"]]);
  byId("by").parentElement.hidden = !hasClasses;
  byId("shared-key").hidden = !hasClasses;
  for (const field of FIELDS) {
    byId(field).addEventListener("input", () => {
      state[field] = byId(field).value;
      if (field !== "find") return changed();
      writeState();
      showFlows();
    });
  }
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", (event) => {
    event.preventDefault();
    only("verdict", "");
    byId("from").focus();
  });
}

/** Show what the state says. */
function apply() {
  for (const field of FIELDS) byId(field).value = state[field] || (field === "by" ? byDefault : "");
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  if (state.theme) document.documentElement.dataset.theme = state.theme;
  else delete document.documentElement.dataset.theme;
  for (const key of document.querySelectorAll("[data-cells]")) {
    key.hidden = (key.dataset.cells === "ports") !== showsPorts();
  }
  byId("theme").textContent = (state.theme || system) === "dark" ? "Light colours" : "Dark colours";
  filter();
  showFlows();
  makeRoom();
  active.row = Math.min(active.row, matrix.rows.length - 1);
  active.column = Math.min(active.column, matrix.columns.length - 1);
  scroll.hidden = !matrix.rows.length || !matrix.columns.length;
  draw();
}

function changed() {
  writeState();
  scroll.scrollTop = 0;
  scroll.scrollLeft = 0;
  active.row = 0;
  active.column = 0;
  apply();
}

/** Open what the address names, when it is there. */
function openNamed() {
  const open = state.open || {};
  const row = matrix.rows.findIndex((line) => line.key === open.source);
  const column = matrix.columns.findIndex((line) => line.key === open.target);
  if (found[open.found]) openFound(Number(open.found));
  else if (row >= 0 && column >= 0) {
    moveTo(row, column);
    openPair(matrix.rows[row], matrix.columns[column]);
  } else if (dialog.open) dialog.close();
}

function fromAddress() {
  readState();
  apply();
  openNamed();
}

readState();
setUp();
showSummary();
showFound();
showOutside();
showUntested();
apply();
openNamed();

byId("theme").addEventListener("click", () => {
  state.theme = byId("theme").textContent.startsWith("Light") ? "light" : "dark";
  writeState();
  apply();
});
byId("skip").addEventListener("click", () => byId("matrix-title").focus());
byId("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
dialog.addEventListener("close", () => {
  state.open = null;
  writeState();
  goBack();
});
view.addEventListener("focusin", onFocus);
view.addEventListener("focusout", () => setTimeout(point));
// Not pointerover, which also comes when a cell is drawn anew under a pointer that rests.
view.addEventListener("pointermove", pointAt);
view.addEventListener("pointerleave", () => {
  pointed = null;
  point();
});
view.addEventListener("keydown", onKey);
view.addEventListener("click", onClick);
view.tabIndex = -1;
let waiting = false;
const later = () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
};
scroll.addEventListener("scroll", later);
addEventListener("resize", () => {
  makeRoom();
  later();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
addEventListener("hashchange", fromAddress);
