/* The console: asks for /console/state.json every two seconds while the page is seen, and shows it.
 *
 * Whatever comes from records is put in as text (textContent), never as markup. Rows are kept and changed in place, by
 * their key, so that focus, selection and what was opened stay where they are. */
"use strict";

const EVERY_MS = 2000;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/* Only what differs is touched: a screen reader need not hear it again. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/* ---- words ---- */

const whole = new Intl.NumberFormat("en");
const count = (n) => whole.format(n);

function span(ms) {
  const units = [[86400000, "d"], [3600000, "h"], [60000, "min"], [1000, "s"]];
  const [size, unit] = units.find(([u]) => ms >= 2 * u) ?? [1, "ms"];
  return `${Math.round(ms / size)} ${unit}`;
}

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${i ? n.toFixed(1) : n} ${units[i]}`;
}

let clock = 0; // the bridge's, of the last answer
const ago = (at) => (at === null || at === undefined ? "–" : at > clock ? `in ${span(at - clock)}` : `${span(clock - at)} ago`);
const delay = (ms) => (ms < 0 ? "–" : span(ms));
const text = (value) => (value === null || value === undefined || value === "" ? "–" : String(value));

/* ---- tables ---- */

/* A table that keeps its rows. columns: {title, number, cell(item)}: text, or a node made once and updated by
 * update(node, item). */
class Table {
  constructor(place, caption, nothing, columns) {
    this.columns = columns;
    this.rows = new Map();
    this.nothing = element("p", { className: "nothing", textContent: nothing });
    this.body = element("tbody");
    const heads = columns.map((c) => element("th", { scope: "col", textContent: c.title, className: c.number ? "number" : "" }));
    this.table = element("table", {}, element("caption", { className: "visually-hidden", textContent: caption }),
      element("thead", {}, element("tr", {}, ...heads)), this.body);
    // As cards, rows and cells would lose what they are.
    for (const [selector, role] of [["thead, tbody", "rowgroup"], ["tr", "row"], ["th", "columnheader"]])
      for (const node of this.table.querySelectorAll(selector)) node.setAttribute("role", role);
    this.table.setAttribute("role", "table");
    byId(place).append(this.nothing, this.table);
    this.show([], () => "");
  }

  makeRow() {
    const row = element("tr", {});
    row.setAttribute("role", "row");
    for (const column of this.columns) {
      const cell = element("td", { className: column.number ? "number" : "" });
      cell.setAttribute("role", "cell");
      cell.dataset.label = column.title;
      if (column.make) cell.append(column.make());
      row.append(cell);
    }
    return row;
  }

  fill(row, item) {
    this.columns.forEach((column, i) => {
      const cell = row.cells[i];
      if (column.make) column.update(cell.firstChild, item, row);
      else setText(cell, column.cell(item));
      if (column.mark) {
        const mark = column.mark(item);
        for (const name of ["bad", "warn", "good"]) cell.classList.toggle(name, name === mark);
      }
    });
  }

  show(items, keyOf) {
    const before = this.rows;
    this.rows = new Map();
    let last = null;
    for (const item of items) {
      const key = keyOf(item);
      if (this.rows.has(key)) continue;
      const row = before.get(key) ?? this.makeRow();
      before.delete(key);
      this.fill(row, item);
      this.rows.set(key, row);
      const next = last ? (last.detail ?? last).nextSibling : this.body.firstChild;
      if (next !== row) {
        this.body.insertBefore(row, next);
        if (row.detail) row.after(row.detail);
      }
      last = row;
    }
    for (const row of before.values()) {
      row.detail?.remove();
      row.remove();
    }
    this.nothing.hidden = this.rows.size > 0;
    this.table.hidden = this.rows.size === 0;
  }
}

/* ---- pictures ---- */

function drawBars(svg, counts, width, height) {
  const most = Math.max(1, ...counts);
  const step = width / counts.length;
  let bars = [...svg.querySelectorAll("rect")];
  while (bars.length < counts.length) {
    const bar = document.createElementNS(SVG, "rect");
    bar.setAttribute("class", "bar");
    svg.append(bar);
    bars.push(bar);
  }
  counts.forEach((n, i) => {
    const tall = (n / most) * (height - 2);
    const place = { x: i * step + step * 0.1, y: height - tall, width: step * 0.8, height: tall };
    for (const [name, value] of Object.entries(place)) bars[i].setAttribute(name, value.toFixed(2));
  });
}

function makeSpark() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 120 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  return svg;
}

/* ---- dead letters ---- */

/* JSON for people; numbers stay as they came, so it is not parsed. What is no JSON stays as it is. */
function pretty(value) {
  try { JSON.parse(value); } catch { return value; }
  let out = "", depth = 0;
  const line = () => "\n" + "  ".repeat(depth);
  for (const [part] of value.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs)) {
    if (part === "{" || part === "[") { depth++; out += part + line(); }
    else if (part === "}" || part === "]") { depth--; out = /[{[]\s*$/.test(out) ? out.trimEnd() + part : out + line() + part; }
    else if (part === ",") out += part + line();
    else if (part === ":") out += ": ";
    else out += part;
  }
  return out;
}

function copyButton(line) {
  const button = element("button", { type: "button", textContent: "Copy" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(line);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it by hand";
    }
  });
  return button;
}

function fillDetail(place, letter) {
  const parts = [];
  if (letter.redrive) {
    parts.push(element("p", { className: "redrive" }, "Try it again: ", element("code", { textContent: letter.redrive }), copyButton(letter.redrive)));
  }
  const block = (title, body) => parts.push(element("h3", { textContent: title }), element("pre", { textContent: body }));
  block("Reason", text(letter.reason));
  block("Key", text(letter.key));
  block("Headers", letter.headers.join("\n"));
  block(letter.cut ? `Value (the beginning of ${bytes(letter.bytes)})` : "Value", pretty(text(letter.value)));
  place.replaceChildren(...parts);
}

async function toggleLetter(button, row, letter) {
  if (row.detail) {
    row.detail.remove();
    row.detail = null;
    button.setAttribute("aria-expanded", "false");
    return;
  }
  const place = element("div", { className: "detail", textContent: "…" });
  const cell = element("td", { colSpan: row.cells.length, className: "whole" }, place);
  cell.setAttribute("role", "cell");
  row.detail = element("tr", {}, cell);
  row.detail.setAttribute("role", "row");
  row.after(row.detail);
  button.setAttribute("aria-expanded", "true");
  const answer = await ask(`/console/letters/${letter.letter}`);
  if (answer) fillDetail(place, answer);
  else setText(place, "It is not in the list any more.");
}

function makeOpener() {
  const button = element("button", { type: "button" });
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => toggleLetter(button, button.closest("tr"), button.letter));
  return button;
}

function updateOpener(button, letter) {
  button.letter = letter;
  setText(button, letter.letter);
}

/* ---- the panels ---- */

const tables = {
  flow: new Table("flow-table", "Events by name", "No event in this time.", [
    { title: "Event", cell: (e) => text(e.event) },
    { title: "Over time", make: makeSpark, update: (svg, e) => drawBars(svg, e.counts, 120, 20) },
    { title: "Events", number: true, cell: (e) => count(e.total) },
    { title: "Last", cell: (e) => ago(e.last) },
    { title: "Delay, half", number: true, cell: (e) => delay(e.p50) },
    { title: "Delay, 95 %", number: true, cell: (e) => delay(e.p95) }]),
  recent: new Table("recent-table", "The latest events", "No event in this time.", [
    { title: "When", cell: (r) => ago(r.at) },
    { title: "Event", cell: (r) => text(r.event) },
    { title: "Id", cell: (r) => text(r.id) },
    { title: "Source", cell: (r) => text(r.source) },
    { title: "Where", cell: (r) => `${r.topic}/${r.partition}/${r.offset}` },
    { title: "Delay", number: true, cell: (r) => delay(r.delay) }]),
  workers: new Table("workers-table", "Workers", "The bridge's configuration has no workers.", [
    { title: "Worker", cell: (w) => w.worker },
    { title: "Group", cell: (w) => w.group },
    { title: "State", cell: (w) => (w.state === "Dead" ? "never started" : w.state), mark: (w) => (w.members ? "good" : "bad") },
    { title: "Members", number: true, cell: (w) => count(w.members) },
    { title: "Lag", number: true, cell: (w) => count(w.lag), mark: (w) => (w.lag ? "warn" : "") },
    { title: "Oldest", cell: (w) => ago(w.oldest) },
    { title: "Retries", number: true, cell: (w) => count(w.retries), mark: (w) => (w.retries ? "warn" : "") },
    { title: "Dead letters", number: true, cell: (w) => count(w.letters), mark: (w) => (w.letters ? "bad" : "") }]),
  behind: new Table("behind-table", "Partitions that are behind", "None.", [
    { title: "Worker", cell: (p) => p.worker },
    { title: "Partition", cell: (p) => `${p.topic}/${p.partition}` },
    { title: "Lag", number: true, cell: (p) => count(p.lag) },
    { title: "Oldest", cell: (p) => ago(p.oldest) }]),
  routes: new Table("routes-table", "Routes", "The bridge's configuration has no routes.", [
    { title: "Route", cell: (r) => `${r.worker}/${r.route}` },
    { title: "Takes", cell: (r) => r.events.join(", ") },
    { title: "Last effect", cell: (r) => (r.last === null ? "none seen" : ago(r.last) + (r.doubtful ? ", in doubt" : "")), mark: (r) => (r.doubtful ? "warn" : "") },
    { title: "Of", cell: (r) => text(r.event) },
    { title: "From event to effect", number: true, cell: (r) => delay(r.delay) }]),
  retries: new Table("retries-table", "Retries that wait", "Nothing waits.", [
    { title: "Route", cell: (r) => `${r.worker}/${r.route}` },
    { title: "Waiting", number: true, cell: (r) => count(r.waiting) },
    { title: "Error", cell: (r) => text(r.error) },
    { title: "Reason", cell: (r) => text(r.reason) },
    { title: "First failed", cell: (r) => ago(r.since) },
    { title: "Next try", cell: (r) => ago(r.due) },
    { title: "Tries", number: true, cell: (r) => count(r.attempts) }]),
  letters: new Table("letters-table", "Dead letters", "None that anybody has to look at.", [
    { title: "Letter", make: makeOpener, update: updateOpener },
    { title: "Failed", cell: (l) => ago(l.failed_at) },
    { title: "Route", cell: (l) => text(l.route) },
    { title: "Error", cell: (l) => text(l.error), mark: () => "bad" },
    { title: "Event", cell: (l) => text(l.event) },
    { title: "Tries", number: true, cell: (l) => count(l.attempts) },
    { title: "Reason", cell: (l) => text(l.reason) }]),
  spool: new Table("spool-table", "The spool by topic", "Nothing waits for Kafka.", [
    { title: "Topic", cell: (t) => text(t.topic) },
    { title: "Events", number: true, cell: (t) => count(t.events) },
    { title: "Bytes", number: true, cell: (t) => bytes(t.bytes) },
    { title: "Oldest", cell: (t) => ago(t.oldest) }]),
  aside: new Table("aside-table", "Set aside", "Nothing was set aside.", [
    { title: "Set aside", cell: (a) => ago(a.since) },
    { title: "Topic", cell: (a) => text(a.topic) },
    { title: "Reason", cell: (a) => text(a.reason) }]),
  topics: new Table("topics-table", "Topics", "No topic with a record.", [
    { title: "Topic", cell: (t) => t.topic },
    { title: "For", cell: (t) => (t.internal ? "Ferry itself" : "events") },
    { title: "Partitions", number: true, cell: (t) => count(t.partitions) },
    { title: "Records", number: true, cell: (t) => count(t.records) }]),
  config: new Table("config-table", "Findings", "Nothing to complain about.", [
    { title: "Line", number: true, cell: (f) => count(f.line) },
    { title: "Kind", cell: (f) => (f.warning ? "warning" : "mistake"), mark: (f) => (f.warning ? "warn" : "bad") },
    { title: "Finding", cell: (f) => f.text }]),
};

const sum = (items, of) => (items ?? []).reduce((all, item) => all + of(item), 0);

function showFlow(flow) {
  const counts = Array.from({ length: flow.events[0]?.counts.length ?? 30 }, (_, i) => sum(flow.events, (e) => e.counts[i]));
  drawBars(byId("chart"), counts, 600, 120);
  setText(byId("chart-caption"), `At most ${count(Math.max(0, ...counts))} in half a minute; the right end is now.`);
  byId("flow-note").hidden = !flow.cut;
  tables.flow.show(flow.events.filter((e) => e.total).sort((a, b) => b.total - a.total), (e) => e.event);
  tables.recent.show([...flow.recent].sort((a, b) => b.at - a.at).slice(0, 15), (r) => `${r.topic}/${r.partition}/${r.offset}`);
}

function showKafka(state) {
  tables.workers.show(state.workers, (w) => w.worker);
  tables.behind.show(state.workers.flatMap((w) => w.behind.map((p) => ({ ...p, worker: w.worker }))), (p) => `${p.worker} ${p.topic}/${p.partition}`);
  tables.routes.show(state.routes, (r) => `${r.worker}/${r.route}`);
  tables.retries.show(state.retries, (r) => `${r.worker}/${r.route} ${r.error}`);
  showTopics(state.topics);
}

function showTopics(topics) {
  const all = byId("topics-empty").checked;
  tables.topics.show((topics ?? []).filter((t) => all || t.records), (t) => t.topic);
}

function showSpool(spool) {
  const where = spool.directory === null ? "This bridge has no spool." :
    `${spool.directory}: ${bytes(spool.used_bytes ?? 0)} of ${bytes(spool.limit_bytes)} used, ${count(spool.set_aside ?? 0)} set aside.`;
  setText(byId("spool-text"), spool.problem ? `${where} ${spool.problem}` : where);
  tables.spool.show(spool.topics ?? [], (t) => t.topic);
  tables.aside.show(spool.aside ?? [], (a) => `${a.since} ${a.topic} ${a.reason}`);
}

function showConfig(config) {
  setText(byId("config-text"), `${config.file}, changed ${ago(config.changed)}. ` + (config.good ? "It would be taken as it stands." :
    "As it stands now it would be refused; the bridge goes on with what it read before."));
  tables.config.show(config.findings, (f) => `${f.line} ${f.text}`);
}

/* ---- the overview, and what a screen reader is told ---- */

const tiles = new Map();
let heard = null;

function showTile(name, value, mark) {
  if (!tiles.has(name)) {
    const value = element("dd");
    byId("tiles").append(element("div", {}, element("dt", { textContent: name }), value));
    tiles.set(name, value);
  }
  const place = tiles.get(name);
  setText(place, value);
  place.className = mark ?? "";
}

function overview(state) {
  return {
    lag: sum(state.workers, (w) => w.lag),
    retries: sum(state.workers, (w) => w.retries),
    letters: sum(state.workers, (w) => w.letters),
    spooled: state.spool?.events ?? 0,
    mistakes: sum(state.config?.findings, (f) => (f.warning ? 0 : 1)),
  };
}

function showOverview(state) {
  const now = overview(state);
  const alarm = (n, mark) => (n ? mark : "");
  showTile("Kafka", state.kafka ? "up" : "away", state.kafka ? "good" : "bad");
  showTile("Bridge", state.accepts ? "takes events" : "refuses events", state.accepts ? "good" : "bad");
  showTile("Events, 15 min", state.flow ? count(sum(state.flow.events, (e) => e.total)) : "…");
  if (state.workers) {
    showTile("Lag", count(now.lag), alarm(now.lag, "warn"));
    showTile("Retries waiting", count(now.retries), alarm(now.retries, "warn"));
    showTile("Dead letters", count(now.letters), alarm(now.letters, "bad"));
  }
  showTile("In the spool", count(now.spooled), alarm(now.spooled, "warn"));
  showTile("Mistakes in the file", count(now.mistakes), alarm(now.mistakes, "bad"));
  tell({ ...now, kafka: state.kafka }, Boolean(state.workers));
}

/* Changes that somebody may have to act on; numbers that only flow are not read out. */
function tell(now, known) {
  if (!known) return;
  const news = [];
  if (heard && now.kafka !== heard.kafka) news.push(now.kafka ? "Kafka is back." : "Kafka is away.");
  if (heard && now.letters > heard.letters) news.push(`${now.letters - heard.letters} more dead letters.`);
  if (heard && !heard.spooled && now.spooled) news.push("Events go to the spool.");
  if (heard && heard.spooled && !now.spooled) news.push("The spool is empty again.");
  if (heard && now.mistakes > heard.mistakes) news.push("The configuration has mistakes.");
  if (news.length) byId("news").textContent = news.join(" ");
  heard = now;
}

/* ---- asking ---- */

async function ask(url) {
  const answer = await fetch(url, { cache: "no-store", headers: { Accept: "application/json" } });
  if (answer.status === 401) location.assign("/console/"); // the session is over
  return answer.ok ? answer.json() : null;
}

function showProblem(words) {
  const place = byId("problem");
  setText(place, words ?? "");
  place.hidden = !words;
}

let latest = null;

function show(state) {
  latest = state;
  clock = state.now;
  setText(byId("age"), state.looked ? `as of ${ago(state.looked)}` : "looking …");
  setText(byId("version"), `Ferry ${state.version}.`);
  showProblem(state.problem);
  showOverview(state);
  if (state.flow) showFlow(state.flow);
  if (state.workers) showKafka(state);
  if (state.letters) {
    tables.letters.show([...state.letters.items].sort((a, b) => b.failed_at - a.failed_at), (l) => `${l.letter} ${l.failed_at}`);
    byId("letters-note").hidden = !state.letters.cut;
  }
  if (state.spool) showSpool(state.spool);
  if (state.config) showConfig(state.config);
  document.body.dataset.shown = String(state.looked ?? "");
}

let paused = false;

async function round() {
  if (!paused && document.visibilityState === "visible") {
    try {
      const state = await ask("/console/state.json");
      if (state) show(state);
    } catch {
      showProblem("The bridge does not answer.");
    }
  }
  setTimeout(round, EVERY_MS);
}

byId("pause").addEventListener("click", (click) => {
  paused = !paused;
  click.currentTarget.setAttribute("aria-pressed", String(paused));
});
byId("topics-empty").addEventListener("change", () => latest && showTopics(latest.topics));
round();
