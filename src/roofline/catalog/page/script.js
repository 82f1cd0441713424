"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const places = {};
  let printing = false;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Colours of the page, so that a picture is light or dark as the page is; on paper it is light.
  const themed = (figure) => {
    const ink = printing ? "#000000" : color("--ink");
    const line = printing ? "#dddddd" : color("--line");
    const layout = structuredClone(figure.layout);
    Object.assign(layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" });
    layout.font = { ...layout.font, color: ink, family: getComputedStyle(document.body).fontFamily };
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: color("--faint"), activecolor: ink };
    layout.hoverlabel = { bgcolor: color("--card"), bordercolor: color("--faint"), font: { color: color("--ink") } };
    for (const axis of ["xaxis", "yaxis"]) Object.assign(layout[axis], { gridcolor: line, linecolor: line, zerolinecolor: line });
    if (innerWidth < 640) {
      layout.font.size = 11;
      layout.margin = { ...layout.margin, l: 48, r: 6 };
    }
    return layout;
  };

  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  };

  const draw = async (key) => {
    const place = document.getElementById(key);
    const ink = printing ? "#000000" : color("--ink");
    const data = (places[key] ? place.data : figures[key].data).map((trace) =>
      trace.meta === "ink" ? { ...trace, textfont: { color: ink, size: innerWidth < 640 ? 10 : 11 } } : trace);
    const layout = themed(figures[key]);
    if (printing) Object.assign(layout, { autosize: false, width: 660, height: 420 });
    await Plotly.react(place, data, layout, config);
    places[key] = place;
  };

  const all = () => Promise.all(Object.keys(figures).filter((key) => document.getElementById(key)).map(draw));

  // Switches of a picture's parts.
  for (const box of document.querySelectorAll("input[data-traces]")) {
    box.checked = true;
    box.addEventListener("change", () =>
      Plotly.restyle(box.dataset.figure, { visible: box.checked }, box.dataset.traces.split(",").map(Number)));
  }

  // A row and its point light each other up.
  const rows = new Map();
  for (const row of document.querySelectorAll("tr[data-spot]")) {
    const [figure, trace, point] = row.dataset.spot.split(" ");
    rows.set(row.dataset.spot, row);
    const show = () => {
      const place = document.getElementById(figure);
      if (place.data && place.data[trace].visible !== false) {
        Plotly.Fx.hover(place, [{ curveNumber: Number(trace), pointNumber: Number(point) }]);
      }
    };
    const hide = () => Plotly.Fx.unhover(document.getElementById(figure));
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
      for (const each of event.points) {
        const row = rows.get(`${key} ${each.curveNumber} ${each.pointNumber}`);
        if (row) row.classList.toggle("lit", lit);
      }
    };
    place.on("plotly_hover", (event) => mark(event, true));
    place.on("plotly_unhover", (event) => mark(event, false));
  };

  // A walk along a frontier.
  for (const walk of document.querySelectorAll(".walk input")) {
    const key = walk.dataset.figure;
    const output = document.getElementById(walk.getAttribute("aria-controls"));
    const { x, y, told } = figures[key].walk;
    const step = () => {
      const i = Number(walk.value);
      output.replaceChildren(...told[i].map((line) => Object.assign(document.createElement("span"), { textContent: line })));
      walk.setAttribute("aria-valuetext", told[i].join("; "));
      if (places[key]) Plotly.restyle(key, { x: [[x[i]]], y: [[y[i]]] }, [figures[key].data.length - 1]);
    };
    walk.addEventListener("input", step);
    step();
  }

  // Heads sort: numbers by value, the rest as text.
  for (const table of document.querySelectorAll("table.sorts")) {
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
  dark.addEventListener("change", all);
  addEventListener("beforeprint", () => {
    printing = true;
    for (const each of document.querySelectorAll("details:not([open]):not(.screen)")) { each.open = true; each.dataset.shut = ""; }
    all();
  });
  addEventListener("afterprint", () => {
    printing = false;
    for (const each of document.querySelectorAll("details[data-shut]")) { each.open = false; delete each.dataset.shut; }
    all();
  });
})();
