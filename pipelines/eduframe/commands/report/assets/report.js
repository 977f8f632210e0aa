"use strict";
// Numbers in the reader's language, tables that are sorted and filtered, charts of what they show.
(() => {
  const { config, charts } = JSON.parse(document.getElementById("charts").textContent);
  const LANGUAGES = {
    en: { tag: "en-GB", decimal: ".", thousands: "," },
    nl: { tag: "nl-NL", decimal: ",", thousands: "." },
  };
  const DIGITS = { count: 0, number: 2, percent: 1 };
  const DAYS = {
    date: { day: "numeric", month: "short", year: "numeric" },
    month: { month: "short", year: "numeric" },
    moment: { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" },
  };
  const field = document.getElementById("search");
  const told = document.getElementById("told");
  const chosen = document.getElementById("language");
  const pages = [...document.querySelectorAll(".page")];
  let language, written, locale;

  // ---- How values are written

  function speak(name) {
    language = LANGUAGES[name] ? name : "en";
    const { tag, decimal, thousands } = LANGUAGES[language];
    written = {};
    for (const [kind, digits] of Object.entries(DIGITS))
      written[kind] = new Intl.NumberFormat(tag,
        { minimumFractionDigits: digits, maximumFractionDigits: digits });
    for (const [kind, how] of Object.entries(DAYS))
      written[kind] = new Intl.DateTimeFormat(tag, { ...how, timeZone: "UTC" });
    const names = (how, count, day) => Array.from({ length: count }, (_, n) =>
      new Intl.DateTimeFormat(tag, { ...how, timeZone: "UTC" }).format(day(n)));
    const weekday = (n) => Date.UTC(2023, 0, 1 + n); // a Sunday, and those after it
    const month = (n) => Date.UTC(2023, n, 1);
    locale = {
      formatLocale: { decimal, thousands, grouping: [3], currency: ["", ""] },
      timeFormatLocale: {
        dateTime: "%-d %b %Y %H:%M", date: "%-d %b %Y", time: "%H:%M", periods: ["AM", "PM"],
        days: names({ weekday: "long" }, 7, weekday), shortDays: names({ weekday: "short" }, 7, weekday),
        months: names({ month: "long" }, 12, month), shortMonths: names({ month: "short" }, 12, month),
      },
    };
  }

  function shown(raw, kind) {
    if (raw === "") return "";
    if (kind in DIGITS) return written[kind].format(Number(raw));
    if (kind in DAYS) return written[kind].format(new Date(raw.length > 10 ? `${raw}Z` : raw));
    return raw;
  }

  // What sorting compares and charts draw: days as the reader's own, so that axes name them so.
  function number(raw, kind) {
    if (raw === "") return null;
    if (!(kind in DAYS)) return Number(raw);
    const [y, m, d, h = 0, min = 0, s = 0] = raw.split(/[-T:]/).map(Number);
    return new Date(y, m - 1, d, h, min, s).getTime();
  }

  const folded = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

  // ---- Tables

  const tables = [...document.querySelectorAll("article table")].map((element) => {
    const article = element.closest("article");
    const heads = [...element.tHead.rows[0].cells];
    const rows = [...element.tBodies[0].rows].map((row, place) => ({ row, place, cells: [...row.cells] }));
    const own = article.querySelector(".filter input");
    return { element, article, heads, rows, visible: rows, own, page: article.closest(".page"),
      said: article.querySelector(".filter p"), sort: null, chart: charts[article.id] };
  });

  function write() {
    for (const one of document.querySelectorAll("data"))
      one.textContent = shown(one.value, one.dataset.k);
    for (const table of tables) {
      const kinds = table.heads.map((head) => head.dataset.k);
      for (const one of table.rows) {
        one.cells.forEach((cell, at) => {
          if (kinds[at] !== "text") cell.textContent = shown(cell.dataset.v, kinds[at]);
        });
        one.text = folded(one.cells.map((cell) => cell.textContent).join(" "));
      }
    }
  }

  function value(one, at, kind) {
    return kind === "text" ? one.cells[at].textContent : number(one.cells[at].dataset.v, kind);
  }

  function arrange(table) {
    const words = folded(`${field.value} ${table.own.value}`).split(/\s+/).filter(Boolean);
    const rows = table.rows.filter((one) => words.every((word) => one.text.includes(word)));
    if (table.sort) {
      const { at, down } = table.sort;
      const kind = table.heads[at].dataset.k;
      const order = new Intl.Collator(LANGUAGES[language].tag, { numeric: true });
      const keyed = rows.map((one) => [value(one, at, kind), one]);
      keyed.sort(([a, one], [b, other]) => {
        const empty = (a === null || a === "") - (b === null || b === "");
        if (empty) return empty; // what is not known comes last, either way
        const by = typeof a === "string" ? order.compare(a, b) : a - b;
        return (down ? -by : by) || one.place - other.place;
      });
      rows.splice(0, rows.length, ...keyed.map(([, one]) => one));
    }
    table.visible = rows;
    table.element.tBodies[0].replaceChildren(...rows.map((one) => one.row));
    const all = shown(String(table.rows.length), "count");
    table.said.textContent = rows.length === table.rows.length
      ? `${all} ${rows.length === 1 ? "row" : "rows"}`
      : `${shown(String(rows.length), "count")} of ${all} rows`;
  }

  function search() {
    tables.forEach(arrange);
    const asked = field.value.trim() !== "";
    const hits = tables.filter((table) => table.visible.length);
    for (const article of document.querySelectorAll("article")) article.hidden = asked;
    for (const table of asked ? hits : []) table.article.hidden = false;
    const here = hits.filter((table) => !table.page.hidden);
    const rows = here.reduce((sum, table) => sum + table.visible.length, 0);
    told.textContent = !asked ? "" : rows
      ? `${shown(String(rows), "count")} rows, ${here.length} ${here.length > 1 ? "tables" : "table"}`
      : "nothing found";
    for (const link of document.querySelectorAll("#contents a"))
      link.parentElement.hidden = document.getElementById(link.hash.slice(1)).hidden;
    drawAll();
  }

  for (const table of tables) {
    const filter = table.own.parentElement;
    filter.hidden = false;
    table.own.addEventListener("input", () => { arrange(table); later(table); });
    table.heads.forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const first = head.dataset.k !== "text"; // numbers and days: the greatest first
        const down = table.sort?.at === at ? !table.sort.down : first;
        table.sort = { at, down };
        for (const other of table.heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        arrange(table);
        later(table);
      });
    });
  }

  // ---- Charts

  const waiting = new Map();
  function later(table) {
    clearTimeout(waiting.get(table));
    waiting.set(table, setTimeout(() => draw(table), 120));
  }

  function drawn(table, visible) {
    const used = new Set();
    const texts = ({ by }) => by.map((name) => table.heads.findIndex((h) => h.dataset.name === name));
    const labels = texts(table.chart);
    return visible.map((one) => {
      const row = {};
      table.heads.forEach((head, at) => { row[head.dataset.name] = value(one, at, head.dataset.k); });
      let label = labels.map((at) => one.cells[at].textContent).join(", ");
      if (table.chart.kind === "bars")
        for (let n = 2, first = label; used.has(label); n++) label = `${first} (${n})`;
      used.add(label);
      row._label = label;
      return row;
    });
  }

  // Few days or hours look like few, not like all there is.
  function span(spec, { kind, by }) {
    const days = { hours: 7, days: 30 }[kind];
    if (!days) return;
    const last = Math.max(...spec.data.values.map((row) => row[by[0]]));
    const { x } = (spec.layer?.[0] ?? spec).encoding;
    x.scale = { domain: [last - days * 864e5, last + (kind === "days" ? 864e5 : 36e5)] };
  }

  async function draw(table) {
    if (!table.chart || table.article.hidden || table.page.hidden) return;
    const place = table.article.querySelector(".chart");
    const turn = (place.turn = (place.turn ?? 0) + 1);
    const by = table.heads.findIndex((head) => head.dataset.name === "currency");
    const groups = new Map();
    for (const one of table.visible) {
      const name = by < 0 ? "" : one.cells[by].textContent;
      groups.set(name, [...(groups.get(name) ?? []), one]);
    }
    const parts = [];
    for (const old of place.views ?? []) old.finalize();
    place.views = [];
    place.replaceChildren();
    for (const [name, rows] of [...groups].sort(([a], [b]) => a.localeCompare(b))) {
      if (name) parts.push(Object.assign(document.createElement("h4"), { textContent: name }));
      const box = Object.assign(document.createElement("div"), { className: "drawn" });
      parts.push(box);
      const few = table.chart.kind === "bars" ? rows.slice(0, table.chart.most) : rows;
      if (few.length < rows.length)
        parts.push(Object.assign(document.createElement("p"), { className: "note",
          textContent: `The first ${few.length} of ${shown(String(rows.length), "count")} rows of `
            + "the table, as it is sorted and filtered." }));
      place.replaceChildren(...parts);
      const spec = structuredClone(table.chart.spec);
      spec.data = { name: "rows", values: drawn(table, few) };
      if (spec.data.values.every((row) => table.chart.values.every((field) => !row[field]))) {
        box.replaceWith(parts[parts.indexOf(box)] = Object.assign(document.createElement("p"),
          { className: "note", textContent: "No chart: there is nothing but 0 to draw." }));
        continue;
      }
      span(spec, table.chart);
      if (spec.height.step) { // a number, as Vega-Lite warns of steps beside a width that fits
        const { field } = spec.encoding.y;
        spec.height = spec.height.step * new Set(spec.data.values.map((row) => row[field])).size;
      }
      const narrow = place.clientWidth < 500;
      const made = await vegaEmbed(box, spec, { mode: "vega-lite", renderer: "svg", actions: false,
        config: { ...config, axisY: { labelLimit: narrow ? 110 : 260 },
          legend: { ...config.legend, columns: narrow ? 1 : 3 } }, ...locale });
      if (place.turn !== turn) { made.finalize(); return; }
      place.views.push(made);
    }
  }

  let round = 0;
  async function drawAll() {
    const mine = ++round;
    for (const table of tables) {
      await draw(table);
      if (mine !== round) return; // the next one has begun
    }
    document.documentElement.dataset.drawn = language;
  }

  // ---- Pages, the language, the keyboard

  function turn() {
    const to = document.getElementById(location.hash.slice(1));
    const here = location.hash ? pages.find((one) => !one.hidden) : pages[0];
    const page = to?.closest(".page") ?? here;
    const same = pages.every((one) => one.hidden === (one !== page));
    for (const one of pages) one.hidden = one !== page;
    for (const list of document.querySelectorAll("#contents ul"))
      list.hidden = list.dataset.page !== page.id;
    for (const link of document.querySelectorAll(".pages a"))
      link.toggleAttribute("aria-current", false);
    document.querySelector(`.pages a[href="#${page.id}"]`).setAttribute("aria-current", "page");
    if (to === page) scrollTo(0, 0);
    else if (to && !same) to.scrollIntoView();
    if (!same) search();
  }

  chosen.addEventListener("change", () => {
    speak(chosen.value);
    write();
    search();
  });
  let typed;
  field.addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(search, 120); });
  addEventListener("hashchange", turn);

  for (const one of document.querySelectorAll("search, .language")) one.hidden = false;
  if (matchMedia("(max-width: 60rem)").matches) document.getElementById("contents").open = false;
  speak(document.documentElement.dataset.language);
  chosen.value = language;
  write();
  turn();
})();
