"use strict";
// Runs again where more of a page has come: each run starts what no run before it has started.
(() => {
  const fresh = (selector) => [...document.querySelectorAll(selector)].filter((each) => {
    const seen = "started" in each.dataset;
    each.dataset.started = "";
    return !seen;
  });
  const figures = Object.assign({}, ...fresh("script[type='application/json']").map((each) => JSON.parse(each.textContent)));
  const places = {};

  const draw = async (key) => {
    const place = document.getElementById(key);
    await Draw.react(place, places[key] ? place.data : figures[key].data, figures[key].layout);
    places[key] = place;
  };

  const all = () => Promise.all(Object.keys(figures).filter((key) => document.getElementById(key)).map(draw));

  // Switches of a picture's parts.
  for (const box of fresh("input[data-traces]")) {
    box.checked = true;
    box.addEventListener("change", () =>
      Draw.restyle(box.dataset.figure, { visible: box.checked }, box.dataset.traces.split(",").map(Number)));
  }

  // A row and its point light each other up.
  const rows = new Map();
  for (const row of fresh("tr[data-spot]")) {
    const [figure, trace, point] = row.dataset.spot.split(" ");
    rows.set(row.dataset.spot, row);
    const show = () => {
      const place = document.getElementById(figure);
      if (place.data && place.data[trace].visible !== false) {
        Draw.hover(place, Number(trace), Number(point));
      }
    };
    const hide = () => Draw.unhover(document.getElementById(figure));
    row.addEventListener("mouseenter", show);
    row.addEventListener("mouseleave", hide);
    const button = row.querySelector(".spot");
    if (!button) continue;
    button.addEventListener("focus", show);
    button.addEventListener("blur", hide);
    button.addEventListener("click", () => {
      document.getElementById(figure).scrollIntoView({ block: "center" });
      show();
    });
  }
  const lights = (key) => {
    const place = document.getElementById(key);
    const mark = (event, lit) => {
      const row = rows.get(`${key} ${event.detail.trace} ${event.detail.point}`);
      if (row) row.classList.toggle("lit", lit);
    };
    place.addEventListener("lit", (event) => mark(event, true));
    place.addEventListener("unlit", (event) => mark(event, false));
  };

  // A walk along a frontier.
  for (const walk of fresh(".walk input")) {
    const key = walk.dataset.figure;
    const output = document.getElementById(walk.getAttribute("aria-controls"));
    const { x, y, told } = figures[key].walk;
    const step = () => {
      const i = Number(walk.value);
      output.replaceChildren(...told[i].map((line) => Object.assign(document.createElement("span"), { textContent: line })));
      walk.setAttribute("aria-valuetext", told[i].join("; "));
      if (places[key]) Draw.restyle(key, { x: [[x[i]]], y: [[y[i]]] }, [figures[key].data.length - 1]);
    };
    walk.addEventListener("input", step);
    step();
  }

  // Heads sort: numbers by value, the rest as text.
  for (const table of fresh("table.sorts")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const numbers = head.classList.contains("number");
      const was = head.getAttribute("aria-sort");
      const up = was ? was === "descending" : !numbers;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => {
        const value = row.cells[column].dataset.value;
        return value === undefined ? null : Number(value);
      };
      const compare = (a, b) => {
        const [left, right] = [key(a), key(b)];
        if (left === null && right === null) return (up ? 1 : -1) * a.cells[column].textContent.localeCompare(b.cells[column].textContent);
        if (left === null || right === null) return (left === null) - (right === null);
        return up ? left - right : right - left;
      };
      body.append(...[...body.rows].sort(compare));
    }));
  }

  all().then(() => {
    Object.keys(places).forEach(lights);
    document.documentElement.dataset.ready = "yes";
  });
  if (!fresh("html").length) return;
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details:not([open]):not(.screen)")) { each.open = true; each.dataset.shut = ""; }
  });
  addEventListener("afterprint", () => {
    for (const each of document.querySelectorAll("details[data-shut]")) { each.open = false; delete each.dataset.shut; }
  });
})();
