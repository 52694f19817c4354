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

const FIELDS = ["from", "to", "role", "service", "outcome", "verdict", "by"];
const state = {from: "", to: "", role: "", service: "", outcome: "", verdict: "", by: "", theme: "", open: null,
               rows: new Set(), columns: new Set()};

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
  const verdict = state.verdict ? VERDICTS.indexOf(state.verdict) : -1;
  const outcome = state.outcome && state.outcome !== "untested" ? OUTCOMES.indexOf(state.outcome) : -1;
  return Uint8Array.from({length: total}, (unused, cell) => {
    const source = sourceOf[cell];
    const target = targetOf[cell];
    return comes[source] && goes[target] && (role[source] || role[target]) && (!service || service[cell])
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

/** Counts by row and column, as {count, right, unknown, wrong, open}; nothing where no connection was tried. */
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
        if (!pair) pairs.set(key, pair = {count: 0, tally: [0, 0, 0], open: 0});
        pair.count += 1;
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
  if (state.role || state.service || state.verdict || (state.outcome && state.outcome !== "untested")) {
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
  const {rows, columns, tried} = matrix;
  const size = `${plural(rows.length, "row")}, ${plural(columns.length, "column")}`;
  let untested = 0;
  if (state.outcome === "untested") {
    rows.forEach((row, r) => columns.forEach((column, c) => {
      if (!tried.has(r * columns.length + c) && !isSame(row, column)) untested += 1;
    }));
    byId("status").textContent = `Showing ${plural(untested, "pair")} not tested. ${size}.`;
  } else {
    const count = mask.reduce((sum, one) => sum + one, 0);
    byId("status").textContent = `Showing ${number.format(count)} of ${plural(total, "connection")}. ${size}.`;
  }
}

// ---- the matrix on the screen: only what is visible is drawn

const scroll = byId("scroll");
const size = byId("size");
const view = byId("view");
const grid = byId("grid");
const active = {row: 0, column: 0};
const pixels = (name) => parseFloat(getComputedStyle(scroll).getPropertyValue(name));
let drawn = {row: 0, column: 0, rows: 0, columns: 0};

let room = {};

/** Make the headers as large as the names need, within limits, and the place to scroll in as large as all lines. */
function makeRoom() {
  const letters = (line) => line.label.length + (line.folded === null ? 0 : 2);
  const longest = (side) => side.reduce((most, line) => Math.max(most, letters(line)), 0);
  const isNarrow = matchMedia("(max-width: 640px)").matches;
  const limit = (least, wanted, most) => Math.max(least, Math.min(wanted, most));
  const head = {width: limit(110, 20 + 8 * longest(matrix.rows), isNarrow ? 130 : 290),
                height: limit(60, 16 + 8 * longest(matrix.columns), isNarrow ? 120 : 210)};
  scroll.style.setProperty("--head-width", `${head.width}px`);
  scroll.style.setProperty("--head-height", `${head.height}px`);
  const cell = {width: pixels("--cell-width"), height: pixels("--cell-height")};
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
}

const cellAt = (row, column) => grid.querySelector(`[data-row="${row}"][data-column="${column}"]`);

function header(line, scope, row, column) {
  const open = line.folded === null ? null : String(!line.folded);
  const sign = line.folded === null ? "" : line.folded ? "▸ " : "▾ ";
  const role = scope === "col" ? "columnheader" : "rowheader";
  return make("th", {scope, role, class: line.inner ? "inner" : "", title: line.label, "aria-label": line.label,
                     "aria-expanded": open, "aria-colindex": column + 2, tabindex: -1, "data-row": row,
                     "data-column": column},
              make("span", {}, sign + line.label));
}

/** How a cell looks and what a screen reader says of it. */
function looks(row, column, r, c) {
  const pair = matrix.pairs.get(r * matrix.columns.length + c);
  const where = `${row.label} to ${column.label}: `;
  const wasTried = matrix.tried.has(r * matrix.columns.length + c);
  if (isSame(row, column)) return {kind: "none", text: "", label: `${where}the same host`};
  if (!pair && wasTried) return {kind: "none", text: "", label: `${where}no connection matches the filters`};
  if (!pair) return {kind: "untested", text: "not tested", label: `${where}not tested`};
  const verdict = pair.tally[2] ? "wrong" : pair.tally[1] ? "unknown" : "right";
  const count = verdict === "right" ? pair.open : pair.tally[VERDICTS.indexOf(verdict)];
  const said = verdict === "right" ? `all ${pair.count} right, ${count} open` : `${count} of ${pair.count} ${verdict}`;
  return {kind: verdict + (verdict === "right" && pair.open ? " opened" : ""),
          text: `${MARKS[verdict]} ${short(count)}/${short(pair.count)}`, label: where + said};
}

function gridCell(row, column, r, c) {
  const look = looks(row, column, r, c);
  return make("td", {class: look.kind, "aria-label": look.label, tabindex: -1, "data-row": r, "data-column": c,
                     "aria-colindex": c + 2}, look.text);
}

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
const portText = (cell) => `${value("port", cell)}/${value("protocol", cell)}`;
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
  for (const name of FIELDS) if (name !== "by") state[name] = "";
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
  const from = new Set(row.hosts);
  const to = new Set(column.hosts);
  const mask = state.outcome === "untested" ? all : chosen();
  const cells = [];
  for (let cell = 0; cell < total; cell += 1) {
    if (mask[cell] && from.has(sourceOf[cell]) && to.has(targetOf[cell])) cells.push(cell);
  }
  const parts = [ends(row, column), ...connections(cells), ...untested(row, column, cells)];
  show(`${row.label} → ${column.label}`, parts, () => moveTo(active.row, active.column));
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
  const parts = cells.length ? [] : [make("p", {}, make("strong", {}, "– Not tested. "), standIn(row, column))];
  if (!skipped.length) return parts;
  const list = make("ul", {});
  return [...parts, make("h3", {}, "Not tested"), make("div", {class: "found"}, list, fill(list, skipped, skippedItem, 10))];
}

/** What a pair without connections can be judged by: the pair of its classes. */
function standIn(row, column) {
  const kind = (index) => classOf[index] || names[index];
  const from = kind(row.hosts[0]);
  const to = kind(column.hosts[0]);
  let count = 0;
  for (let cell = 0; cell < total; cell += 1) {
    if (kind(sourceOf[cell]) === from && kind(targetOf[cell]) === to) count += 1;
  }
  return count ? `Other hosts of the same classes were tested instead: ${plural(count, "connection")} from ${from} to ${to}.`
    : "No connection between these hosts, or between hosts of their classes, was tried.";
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
  options("outcome", [["", "any"], ...OUTCOMES.map((name) => [name, name]), ["untested", "not tested"]]);
  options("verdict", [["", "any"], ...["wrong", "unknown", "right"].map((name) => [name, `${MARKS[name]} ${name}`])]);
  options("by", [["class", "one per class"], ["host", "one per host"]]);
  byId("by").parentElement.hidden = !hasClasses;
  for (const field of FIELDS) {
    byId(field).addEventListener("input", () => {
      state[field] = byId(field).value;
      changed();
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
  byId("theme").textContent = (state.theme || system) === "dark" ? "Light colours" : "Dark colours";
  filter();
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
