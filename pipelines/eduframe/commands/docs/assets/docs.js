"use strict";
// Search and zoom. All else works without.
(() => {
  const field = document.getElementById("search");
  const hits = document.getElementById("hits");
  const told = document.getElementById("told");
  const MOST = 60;
  let index = null;

  // What people say, in English and Dutch, and what it is called here.
  const CALLED = {
    __proto__: null,
    aanwezigheid: "attendance", afwezig: "absent", attendee: "attendance", bedrijf: "compan",
    bedrijv: "compan", betaling: "payment", boeking: "order", btw: "vat", cancelled: "canceled",
    certificaat: "certificate", certificat: "certificate", cijfer: "grade", classroom: "room",
    cursus: "course", cursuss: "course", cursist: "student", debiteur: "open_invoices",
    debtor: "open_invoices", deelnemer: "student", docent: "teacher", enrolment: "enrollment",
    factuur: "invoice", factur: "invoice", gebruiker: "user", geannuleerd: "canceled",
    inschrijving: "enrollment", klant: "customer", korting: "discount", lokaal: "room",
    lokal: "room", locatie: "location", omzet: "revenue", opleiding: "program",
    organisatie: "organization", rate: "percent", registration: "enrollment",
    resultaat: "result", resultat: "result", seat: "place", trainer: "teacher",
    training: "course", turnover: "revenue", uur: "hours", uren: "hours", vestiging: "location",
    wachtlijst: "waiting_list",
  };
  const called = (word) => [word, CALLED[word] ?? CALLED[word.replace(/(s|en)$/, "")]]
    .filter(Boolean);

  const plain = (element) => element.textContent.replace(/\s+/g, " ").trim();

  function build() {
    const found = [];
    for (const article of document.querySelectorAll("article")) {
      const [title, ...texts] = article.querySelectorAll(":scope > h3, :scope > p, :scope > pre");
      found.push({ to: article.id, name: plain(title), kind: article.dataset.k,
        text: texts.map(plain).join(" "), rank: 0 });
      for (const row of article.querySelectorAll("tbody tr")) {
        const [head, type, meaning] = row.children;
        const marks = [...head.querySelectorAll(".mark")].map(plain).join(", ");
        const said = [...meaning.children].map((part) =>
          part.matches("dl") ? [...part.children].map((pair) =>
            [...pair.children].map(plain).join(": ")).join("; ") : plain(part));
        found.push({ to: row.id, name: row.id, kind: plain(type), rank: 1,
          text: said.concat(marks).filter(Boolean).join(" ") });
      }
    }
    for (const one of found) {
      one.lowName = one.name.toLowerCase();
      one.own = one.lowName.split(".").pop();
      one.low = `${one.lowName} ${one.lowName.replaceAll(/[._]/g, " ")} ${one.text.toLowerCase()}`;
    }
    return found;
  }

  function score(one, query, words) {
    if (one.lowName === query) return 0;
    if (one.own === query) return 2 + one.rank;
    if (words.every((word) => word.some((said) => one.lowName.includes(said))))
      return (one.own.startsWith(query) ? 4 : 6) + one.rank;
    const all = words.every((word) => word.some((said) => one.low.includes(said)));
    return all ? 8 + one.rank : -1;
  }

  function search() {
    const query = field.value.trim().toLowerCase();
    hits.replaceChildren();
    hits.hidden = !query;
    told.textContent = "";
    if (!query) return;
    index ??= build();
    const words = query.split(/[\s_]+/).filter(Boolean).map(called);
    const found = index.map((one) => [score(one, query, words), one]).filter(([s]) => s >= 0);
    found.sort(([a, one], [b, other]) => a - b || one.name.length - other.name.length);
    told.textContent = found.length > MOST ? `${found.length}, first ${MOST} shown`
      : `${found.length || "nothing"} found`;
    hits.append(...found.slice(0, MOST).map(([, one]) => shown(one, words.flat())));
    hits.scrollTop = 0;
  }

  function shown(one, words) {
    const link = document.createElement("a");
    link.href = `#${one.to}`;
    const name = document.createElement("b");
    name.append(...marked(one.name, words));
    const kind = document.createElement("i");
    kind.textContent = one.kind;
    const text = document.createElement("span");
    text.append(...marked(around(one.text, words), words));
    link.append(name, kind, text);
    const item = document.createElement("li");
    item.append(link);
    return item;
  }

  function around(text, words) {
    const places = words.map((word) => text.toLowerCase().indexOf(word)).filter((at) => at >= 0);
    const start = Math.max(0, Math.min(...places, text.length) - 60);
    const from = places.length && start ? start : 0;
    return (from ? "… " : "") + text.slice(from, from + 150) + (text.length > from + 150 ? " …" : "");
  }

  function marked(text, words) {
    const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    return text.split(new RegExp(`(${pattern})`, "i")).map((piece, i) => {
      if (i % 2 === 0) return piece;
      const mark = document.createElement("mark");
      mark.textContent = piece;
      return mark;
    });
  }

  document.getElementById("searching").hidden = false;
  field.addEventListener("input", search);
  field.addEventListener("focus", search);
  document.addEventListener("keydown", (event) => {
    if (!field.parentElement.contains(document.activeElement)) return;
    const links = [...hits.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "Escape") {
      event.preventDefault();
      if (at < 0) field.value = "";
      else field.focus();
      hits.hidden = true;
    } else if (event.key === "ArrowDown" && links.length) {
      event.preventDefault();
      hits.hidden = false;
      links[Math.min(at + 1, links.length - 1)].focus();
    } else if (event.key === "ArrowUp" && at >= 0) {
      event.preventDefault();
      (links[at - 1] ?? field).focus();
    } else if (event.key === "Enter" && at < 0 && links.length) {
      event.preventDefault();
      links[0].click();
    }
  });
  hits.addEventListener("click", (event) => {
    if (!event.target.closest("a")) return;
    hits.hidden = true;
    document.activeElement.blur();
  });
  document.addEventListener("click", (event) => {
    if (!field.parentElement.contains(event.target)) hits.hidden = true;
  });

  for (const figure of document.querySelectorAll(".diagram")) {
    const drawing = figure.querySelector("svg");
    const frame = figure.querySelector(".drawn");
    const [, , width, height] = drawing.getAttribute("viewBox").split(" ").map(Number);
    let scale = 1;
    const zoom = (to) => {
      const middle = (frame.scrollLeft + frame.clientWidth / 2) / (width * scale);
      const centre = (frame.scrollTop + frame.clientHeight / 2) / (height * scale);
      scale = Math.min(4, Math.max(0.1, to));
      drawing.setAttribute("width", width * scale);
      drawing.setAttribute("height", height * scale);
      frame.scrollLeft = middle * width * scale - frame.clientWidth / 2;
      frame.scrollTop = centre * height * scale - frame.clientHeight / 2;
    };
    const fitting = () => (frame.clientWidth - 2) / width;
    figure.querySelector(".zoom").hidden = false;
    figure.addEventListener("click", (event) => {
      const by = event.target.dataset?.zoom;
      if (by) zoom(by === "fit" ? fitting() : scale * Number(by));
    });
    frame.addEventListener("keydown", (event) => {
      if (event.key === "+" || event.key === "=") zoom(scale * 1.25);
      else if (event.key === "-") zoom(scale * 0.8);
      else if (event.key === "0") zoom(fitting());
    });
    frame.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(scale * (event.deltaY < 0 ? 1.1 : 1 / 1.1));
    }, { passive: false });
    const choose = (box) => {
      const name = box?.dataset.t;
      drawing.classList.toggle("chosen", Boolean(name));
      const near = new Set([name]);
      for (const line of drawing.querySelectorAll("path")) {
        const on = line.dataset.a === name || line.dataset.b === name;
        line.classList.toggle("on", on);
        if (on) near.add(line.dataset.a).add(line.dataset.b);
      }
      for (const one of drawing.querySelectorAll(".box"))
        one.classList.toggle("on", near.has(one.dataset.t));
    };
    const boxOf = (event) => event.target.closest(".box");
    drawing.addEventListener("pointerover", (event) => choose(boxOf(event)));
    drawing.addEventListener("pointerleave", () => choose(null));
    drawing.addEventListener("focusin", (event) => choose(boxOf(event)));
    drawing.addEventListener("focusout", () => choose(null));
  }

  const contents = document.getElementById("contents");
  if (matchMedia("(max-width: 60rem)").matches) contents.open = false;
  contents.addEventListener("click", (event) => {
    if (event.target.closest("a") && matchMedia("(max-width: 60rem)").matches) contents.open = false;
  });

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("main details:not([open])")];
    for (const one of folded) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of folded) one.open = false;
  });
})();
