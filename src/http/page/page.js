/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks state.json each second and shows it; by a path that is relative, as everything the page asks for, so that it may
 * lie behind a prefix. Counts become rates by an older answer; what is shown is put in as text, never as markup. When no
 * answer comes, the page says so, and since when.
 */
"use strict";

const PERIOD_MS = 1000, PATIENCE_MS = 3000, RATE_MS = 5000, WINDOW_MS = 60000;
const LOUD = /LOST|FAILED|OPENED|SPLIT|LEAK|MISUSE|DEADLOCK|INSECURE|STILL_OUT|DOUBTED|FENCED|REFUSED|EJECTED|EXHAUSTED|RAISED/;
const QUIET = /^(CONNECTED|CLOSED|SETTINGS_FALLBACK)$/;
const past = []; /* answers of the last minute, the oldest first, each with its time here */
let answered = 0, asked = performance.now();

/* ---- words for numbers ---- */

const byId = id => document.getElementById(id);

function rate(value) {
	if (value === null) return "–";
	if (value >= 10000) return (value / 1000).toFixed(value < 100000 ? 1 : 0) + "k";
	return value >= 100 || value === 0 ? value.toFixed(0) : value.toFixed(1);
}

function duration(ms) {
	if (ms < 0.001) return "0";
	if (ms < 1) return Math.round(ms * 1000) + " µs";
	if (ms < 10) return ms.toFixed(1) + " ms";
	if (ms < 1000) return ms.toFixed(0) + " ms";
	if (ms < 120000) return (ms / 1000).toFixed(ms < 10000 ? 1 : 0) + " s";
	if (ms < 7200000) return Math.round(ms / 60000) + " min";
	return ms < 172800000 ? Math.round(ms / 3600000) + " h" : Math.round(ms / 86400000) + " d";
}

function bytes(n) {
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let i = 0;
	for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
	return n.toFixed(i && n < 10 ? 1 : 0) + " " + units[i];
}

function lag(host) {
	if (host.role !== "replica") return "";
	if (host.lag_ms < 0) return "?";
	return (host.lag_ms ? duration(host.lag_ms) : "0 ms") + (host.lag_bytes > 0 ? " · " + bytes(host.lag_bytes) : "");
}

/* ---- the document ---- */

function put(node, text) {
	if (node.textContent !== text) node.textContent = text;
}

function mark(node, is) {
	if (node.dataset.is !== is) node.dataset.is = is;
}

function element(name, className, text) {
	const made = document.createElement(name);
	if (className) made.className = className;
	if (text !== undefined) made.textContent = text;
	return made;
}

function svg(name, attributes) {
	const made = document.createElementNS("http://www.w3.org/2000/svg", name);
	for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
	return made;
}

/* As many children as items, each filled in; those that are there stay. */
function fill(parent, items, make, show) {
	while (parent.children.length > items.length) parent.lastElementChild.remove();
	items.forEach((item, i) => {
		if (i >= parent.children.length) parent.append(make());
		show(parent.children[i], item);
	});
}

/* ---- rates: an answer, and one some seconds older ---- */

function older(ms) {
	const end = past[past.length - 1].at - ms;
	return past.find(one => one.at >= end) || past[0];
}

function sourceOf(one, name) {
	return one.state.sources.find(source => source.name === name);
}

function hostOf(one, sourceName, name) {
	const source = sourceOf(one, sourceName);
	return source && source.hosts.find(host => host.host === name);
}

/* A counter's rate; null: too little is known. read(host) is the counter. */
function rateOf(sourceName, host, read) {
	const last = past[past.length - 1], first = older(RATE_MS);
	const before = hostOf(first, sourceName, host.host);
	const seconds = (last.at - first.at) / 1000;
	return before && seconds > 0 ? Math.max(0, read(host) - read(before)) / seconds : null;
}

function sum(values) {
	const known = values.filter(value => value !== null);
	return known.length ? known.reduce((a, b) => a + b, 0) : null;
}

/* ---- charts ---- */

/* The bucket bound under which this share of the values is, between two bounds by their logarithms; in ms. */
function quantile(bounds, buckets, count, share) {
	let under = 0;
	for (let i = 0; i < buckets.length; i++) {
		if (under + buckets[i] >= share * count) {
			const high = bounds[Math.min(i, bounds.length - 1)], low = i ? bounds[i - 1] : high / 10;
			return low * Math.pow(high / low, (share * count - under) / buckets[i]) / 1e6;
		}
		under += buckets[i];
	}
	return bounds[bounds.length - 1] / 1e6;
}

/* The buckets of the last minute; all of them, where the whole life is no longer than that. */
function recent(source, of) {
	const now = source.latency[of], before = sourceOf(past[0], source.name);
	if (!before || past.length < 2 || past[0].state.uptime_ms < WINDOW_MS) return now.buckets;
	return now.buckets.map((n, i) => Math.max(0, n - before.latency[of].buckets[i]));
}

function draw(figure, parts, left, right) {
	const picture = svg("svg", {viewBox: "0 0 220 74", preserveAspectRatio: "none", "aria-hidden": "true"});
	const ends = element("div", "ends");
	picture.append(svg("path", {d: "M0 73.5H220", class: "axis"}), ...parts);
	ends.append(element("span", "", left), element("span", "", right));
	figure.replaceChildren(figure.firstElementChild, picture, ends);
}

function drawLatency(figure, bounds, source, of) {
	const buckets = recent(source, of), count = buckets.reduce((a, b) => a + b, 0);
	const most = Math.max(...buckets, 1), width = 220 / buckets.length;
	const bars = buckets.map((n, i) => {
		const height = n ? Math.max(2, 70 * n / most) : 0;
		return svg("rect", {x: i * width + 1, y: 73 - height, width: width - 2, height, class: "mark"});
	});
	put(figure.querySelector("figcaption span"), count === 0 ? "none in the last minute"
		: "p50 " + duration(quantile(bounds, buckets, count, .5)) + " · p99 "
			+ duration(quantile(bounds, buckets, count, .99)) + " · " + rate(count));
	draw(figure, bars, duration(bounds[0] / 1e6), "> " + duration(bounds[bounds.length - 1] / 1e6));
}

function checkoutsOf(one, name) {
	const source = sourceOf(one, name);
	return source ? source.hosts.reduce((n, host) => n + host.pool.checkouts, 0) : 0;
}

function drawRate(figure, source) {
	const points = [], last = past[past.length - 1];
	for (let i = 1; i < past.length; i++)
		points.push([past[i].at - last.at, Math.max(0, checkoutsOf(past[i], source.name)
			- checkoutsOf(past[i - 1], source.name)) * 1000 / Math.max(1, past[i].at - past[i - 1].at)]);
	const most = Math.max(...points.map(point => point[1]), 1);
	const line = points.map(([at, value]) =>
		(220 + 220 * at / WINDOW_MS).toFixed(1) + " " + (72 - 68 * value / most).toFixed(1)).join("L");
	const parts = line ? [
		svg("path", {d: "M" + line + "L220 73L" + (220 + 220 * points[0][0] / WINDOW_MS).toFixed(1) + " 73Z", class: "under"}),
		svg("path", {d: "M" + line, class: "line"})] : [];
	put(figure.querySelector("figcaption span"), "at most " + rate(most === 1 ? 0 : most));
	draw(figure, parts, "a minute ago", "now");
}

/* ---- a source ---- */

function makeHost() {
	const row = element("tr");
	row.append(element("td", "host"), element("td"), element("td", "n"), element("td", "bar"));
	row.children[0].append("", element("small"));
	row.children[1].append(element("span", "role"));
	for (const label of ["in use", "idle", "waiting", "reads/s", "writes/s"]) row.append(element("td", "n"));
	["lag", "", "in use", "idle", "waiting", "reads/s", "writes/s"].forEach((label, i) => {
		row.children[i + 2].dataset.label = label;
	});
	row.append(element("td", "notes"));
	row.lastElementChild.append(element("span"), element("span", "quiet"));
	return row;
}

function drawBar(cell, pool) {
	const all = Math.max(pool.max, pool.total, 1), other = pool.opening + pool.kept + pool.closing;
	const picture = svg("svg", {viewBox: "0 0 100 12", preserveAspectRatio: "none", role: "img"});
	const text = `${pool.busy} in use, ${pool.idle} idle, ${other} opening or closing, of at most ${pool.max}`;
	let x = 0;
	picture.setAttribute("aria-label", text);
	picture.append(svg("title", {}), svg("rect", {x: 0, y: 2, width: 100, height: 8, class: "b-room"}));
	picture.firstElementChild.textContent = text;
	for (const [n, name] of [[pool.busy, "b-busy"], [pool.idle, "b-idle"], [other, "b-other"]]) {
		picture.append(svg("rect", {x, y: 2, width: 100 * n / all, height: 8, class: name}));
		x += 100 * n / all;
	}
	cell.replaceChildren(picture);
}

function notesOf(host) {
	const pool = host.pool, notes = [...(host.remarks || [])];
	if (pool.suspended) notes.push("suspended");
	if (pool.breaker === "half-open") notes.push("one connect tries");
	const error = host.last_error || (pool.breaker !== "closed" ? pool.last_connect_error : "");
	return notes.join(", ") + (error ? (notes.length ? ": " : "") + error : "");
}

function aboutOf(host) {
	const about = [];
	if (host.version) about.push("PostgreSQL " + Math.floor(host.version / 10000) + "." + host.version % 10000);
	if (host.timeline) about.push("timeline " + host.timeline);
	if (host.zone) about.push("zone " + host.zone);
	return about.join(", ");
}

function showHost(row, source, host) {
	const cells = row.children, name = source.name, role = host.role || "pool";
	put(cells[0].lastElementChild, aboutOf(host));
	if (cells[0].firstChild.data !== host.host) cells[0].firstChild.data = host.host;
	put(cells[1].firstElementChild, role);
	mark(cells[1].firstElementChild, role);
	put(cells[2], lag(host));
	drawBar(cells[3], host.pool);
	put(cells[4], `${host.pool.busy} / ${host.pool.max}`);
	put(cells[5], String(host.pool.idle));
	put(cells[6], String(host.pool.waiting));
	put(cells[7], host.role ? rate(rateOf(name, host, h => h.reads)) : "");
	put(cells[8], host.role ? rate(rateOf(name, host, h => h.writes)) : "");
	put(cells[9].firstElementChild, notesOf(host));
	put(cells[9].lastElementChild, host.follows && !notesOf(host) ? "follows " + host.follows : "");
}

function showAlert(item, alert) {
	const value = alert.value + (alert.unit === "%" ? " %" : "");
	mark(item, alert.severity);
	put(item.firstElementChild, alert.severity.toLowerCase() + ": " + alert.alert.toLowerCase().replaceAll("_", " "));
	put(item.lastElementChild, `${alert.host ? alert.host + ": " : ""}${alert.text} — ${value}, for ${duration(alert.for_ms)}`);
}

function showEvent(row, event) {
	const at = new Date(event.at_ms);
	mark(row, QUIET.test(event.event) ? "quiet" : LOUD.test(event.event) ? "bad" : "");
	put(row.children[0], at.toLocaleTimeString("en-GB") + "." + String(at.getMilliseconds()).padStart(3, "0"));
	put(row.children[1], event.event);
	put(row.children[2], event.host);
	put(row.children[3], event.text);
}

function rowOf(...classes) {
	const row = element("tr");
	row.append(...classes.map(name => element("td", name)));
	return row;
}

function showNumbers(section, source) {
	const total = read => sum(source.hosts.map(host => rateOf(source.name, host, read)));
	const all = read => source.hosts.reduce((n, host) => n + read(host.pool), 0);
	const checkouts = total(h => h.pool.checkouts), waits = total(h => h.pool.waits);
	const failed = total(h => h.pool.timeouts + h.pool.refused), waiting = all(pool => pool.waiting);
	const show = (name, text) => put(section.querySelector(".numbers ." + name), text);
	show("checkouts", rate(checkouts));
	show("busy", String(all(pool => pool.busy)));
	show("of-max", "of at most " + all(pool => pool.max));
	show("waiting", String(waiting));
	show("waits", checkouts ? (100 * Math.min(1, waits / checkouts)).toFixed(1) + " %" : "–");
	show("queries", rate(total(h => h.pool.queries)));
	show("failed", rate(failed));
	section.querySelector(".numbers .failed").classList.toggle("loud", failed > 0);
}

function showSource(section, source, state) {
	const verdict = section.querySelector(".verdict"), health = source.health;
	put(section.querySelector(".name"), source.name);
	put(section.querySelector(".kind"), source.kind);
	put(verdict, health ? `${health.status}, when asked ${duration(health.age_ms)} ago` : "");
	mark(verdict, health && health.age_ms < 15000 ? health.status : "");
	verdict.title = health ? health.why : "";
	fill(section.querySelector(".alerts"), source.alerts, () => {
		const item = element("li");
		item.append(element("b"), element("span"));
		return item;
	}, showAlert);
	showNumbers(section, source);
	fill(section.querySelector(".hosts tbody"), source.hosts, makeHost, (row, host) => showHost(row, source, host));
	drawRate(section.querySelector("[data-of=rate]"), source);
	for (const of of ["wait", "hold", "query", "connect"])
		drawLatency(section.querySelector(`[data-of=${of}]`), state.bounds_ns, source, of);
	fill(section.querySelector(".events tbody"), [...source.events].reverse(),
		() => rowOf("time", "kind-of", "where", "what"), showEvent);
}

function show(state) {
	put(byId("version"), state.weir);
	put(byId("process"), `process ${state.pid}, watched for ${duration(state.uptime_ms)}${state.ready ? "" : ", about to end"}`);
	document.title = "weir: " + state.sources.map(source => source.name).join(", ");
	fill(byId("sources"), state.sources, () => byId("source").content.firstElementChild.cloneNode(true),
		(section, source) => showSource(section, source, state));
}

/* ---- asking ---- */

function tell() {
	const silent = performance.now() - (answered || asked), gone = silent > PATIENCE_MS;
	mark(byId("live"), gone ? "gone" : answered ? "live" : "waiting");
	put(byId("live"), gone ? "no answer" : answered ? "live" : "waiting for the first answer");
	document.body.classList.toggle("gone", gone);
	byId("stale").hidden = !gone;
	if (gone)
		put(byId("stale"), "The process has not answered for " + duration(silent) + "."
			+ (answered ? " What is shown below is as old." : ""));
}

async function ask() {
	const control = new AbortController(), end = setTimeout(() => control.abort(), PATIENCE_MS);
	try {
		const answer = await fetch("state.json", {signal: control.signal, cache: "no-store"});
		if (!answer.ok) throw new Error(answer.status);
		const state = await answer.json();
		if (past.length && past[past.length - 1].state.pid !== state.pid) past.length = 0; /* started anew */
		answered = performance.now();
		past.push({at: answered, state});
		while (past.length > 2 && past[1].at < answered - WINDOW_MS) past.shift();
		show(state);
	} catch (error) {
		if (!(error instanceof TypeError) && error.name !== "AbortError") console.error(error);
	} finally {
		clearTimeout(end);
		tell();
		setTimeout(ask, PERIOD_MS);
	}
}

setInterval(tell, 500);
ask();
