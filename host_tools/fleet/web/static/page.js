"use strict";
// Live pages, the pictures of a device, and the code of the first login. Everything else works without scripts.

for (const field of document.querySelectorAll("[data-from-fragment]")) {
  if (location.hash.length > 1) {
    field.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
    field.closest("form").querySelector("[name=name], [name=password]").focus();
  }
}

const LEAST_PAUSE_MS = 1000;
if (document.body.dataset.live) {
  const events = new EventSource(document.body.dataset.live);
  let waiting = 0;
  const refresh = () => {
    waiting = 0;
    for (const part of document.querySelectorAll("#live, #table")) {
      if (!("own" in part.dataset)) part.setAttribute("hx-get", location.pathname + location.search);  // filters change it
      htmx.trigger(part, "refresh");
    }
  };
  events.addEventListener("changed", () => {
    if (!waiting) waiting = setTimeout(refresh, LEAST_PAUSE_MS);
  });
  addEventListener("pagehide", () => events.close());
}

document.addEventListener("keydown", (event) => {
  const search = document.querySelector("[name=q]");
  if (event.key === "/" && search && !/^(input|select|textarea)$/i.test(event.target.tagName)) {
    event.preventDefault();
    search.focus();
  }
});

// Times are in UTC; here, in the reader's own zone.
const two = (number) => String(number).padStart(2, "0");
function localTimes() {
  for (const each of document.querySelectorAll("time:not([title])")) {
    const at = new Date(each.dateTime);
    each.textContent = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
  }
}
localTimes();

const size = (octets) => {
  for (const [unit, name] of [[2 ** 30, "GB"], [2 ** 20, "MB"], [2 ** 10, "KB"]])
    if (octets >= unit) return `${+(octets / unit).toFixed(octets / unit < 10 ? 2 : 1)} ${name}`;
  return `${octets} B`;
};
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Steps of 1, 2, 5 … in units of 1024, as sizes are written.
const splits = (u, axis, low, high) => {
  const unit = high >= 2 ** 30 ? 2 ** 30 : high >= 2 ** 20 ? 2 ** 20 : high >= 2 ** 10 ? 2 ** 10 : 1;
  const rough = high / unit / 4;
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough) * unit;
  const marks = [];
  for (let mark = 0; mark <= high; mark += step) marks.push(mark);
  return marks;
};

// Marks of days are dates; those between them are times.
const dates = (zone) => (u, marks, axis, space, step) => {
  const form = step < 86400 ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" };
  const language = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;  // 13 Nov
  const written = new Intl.DateTimeFormat(language, { ...form, timeZone: zone });
  return marks.map((at) => written.format(at * 1000));
};

const axes = (zone) => {
  const common = { stroke: color("muted"), grid: { stroke: color("grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  return [
    { ...common, grid: { show: false }, space: 70, values: dates(zone) },
    { ...common, size: 70, splits, values: (u, marks) => marks.map(size) },
  ];
};

const options = (figure, series, { zone, ...more }) => ({
  width: figure.clientWidth, height: 240, series, axes: axes(zone), legend: { live: true },
  cursor: { y: false, points: { size: 6 } }, ...more,
});

// uPlot gives a single moment years.
const span = (times, margin = 0) => (u, least, most) => (times.length === 1 ? [times[0] - 43200, times[0] + 43200] : [least - margin, most + margin]);

function period(figure, { device, carrier, allowance }, words) {
  const times = [...new Set([...device, ...carrier].map(([at]) => at))].sort((a, b) => a - b);
  const of = (own, value) => { const known = new Map(own.map((each) => [each[0], value(each)])); return times.map((each) => known.get(each) ?? null); };
  const shown = (u, value) => (value == null ? "–" : size(value));
  const line = color("device");
  const series = [
    { label: words.time },
    { label: words.device, stroke: line, width: 2, spanGaps: true, value: shown, points: { show: device.length < 3 } },
    { class: "unseen-series", label: "+", stroke: "transparent", spanGaps: true, value: shown, points: { show: false } },
    { class: "unseen-series", label: "−", stroke: "transparent", spanGaps: true, value: shown, points: { show: false } },
    { label: words.carrier, stroke: color("carrier"), width: 2, spanGaps: true, value: shown, points: { show: true, size: 6, fill: color("carrier") } },
  ];
  const data = [
    times, of(device, ([, rated]) => rated), of(device, ([, rated, bound]) => rated + bound),
    of(device, ([, rated, bound]) => Math.max(rated - bound, 0)), of(carrier, ([, octets]) => octets),
  ];
  if (allowance) {
    series.push({ label: words.allowance, stroke: color("limit"), width: 1.5, dash: [5, 5], value: shown, points: { show: false } });
    data.push(times.map(() => allowance));
  }
  const scales = { x: { range: span(times) }, y: { range: (u, least, most) => [0, Math.max(most, 1024) * 1.06] } };
  return new uPlot(options(figure, series, { scales, bands: [{ series: [2, 3], fill: `${line}33` }] }), data, figure);
}

function days(figure, known, words) {
  const times = known.map(({ day }) => Date.parse(`${day}T00:00:00Z`) / 1000);
  const series = [
    { label: words.day, value: (u, value) => (value == null ? "" : new Date(value * 1000).toISOString().slice(0, 10)) },
    { label: words.device, stroke: color("device"), fill: `${color("device")}99`, width: 0, value: (u, value) => (value == null ? "–" : size(value)), paths: uPlot.paths.bars({ size: [0.8, 28] }), points: { show: false } },
  ];
  const scales = { x: { range: span(times, 43200) }, y: { range: (u, least, most) => [0, Math.max(most, 1024) * 1.06] } };
  return new uPlot(options(figure, series, { scales, tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"), zone: "UTC" }), [times, known.map(({ rated }) => rated)], figure);
}

let drawn = "";
const plots = new Map();
function draw(again) {
  const data = document.getElementById("usage");
  if (!data || typeof uPlot === "undefined" || (!again && data.textContent === drawn)) return;
  drawn = data.textContent;
  const known = JSON.parse(drawn);
  for (const figure of document.querySelectorAll("[data-chart]")) {
    plots.get(figure)?.destroy();
    figure.replaceChildren();
    const make = { period, days }[figure.dataset.chart];
    plots.set(figure, make(figure, known[figure.dataset.chart], JSON.parse(figure.dataset.words)));
  }
}
draw();
document.addEventListener("htmx:after:swap", () => { localTimes(); draw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
addEventListener("resize", () => {
  for (const [figure, plot] of plots) plot.setSize({ width: figure.clientWidth, height: 240 });
});
