"use strict";
// Draws scatter figures as SVG: lines, marks and names on linear or logarithmic axes. Colours of ink and paper are those of the page.
const Draw = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const make = (name, words, parent) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(words)) made.setAttribute(key, value);
    if (parent) parent.append(made);
    return made;
  };
  const plain = (text) => {
    const found = document.createElement("template");
    found.innerHTML = text.replaceAll("<br>", "\n");
    return found.content.textContent;
  };

  // Axes ------------------------------------------------------------------------------------------------------------------
  const scale = (axis, values, from, to) => {
    const log = axis.type === "log";
    const put = log ? Math.log10 : (value) => value;
    let [low, high] = axis.range || [];
    if (low === undefined) {
      const known = values.filter((value) => value !== null && Number.isFinite(value) && (!log || value > 0)).map(put);
      [low, high] = [Math.min(...known), Math.max(...known)];
      const room = 0.06 * (high - low || 1);
      if (axis.rangemode === "tozero" && low >= 0) low = -room;
      [low, high] = [low - (axis.rangemode === "tozero" ? 0 : room), high + room];
      if (axis.rangemode === "tozero") low = 0;
    }
    const at = (value) => from + ((put(value) - low) / (high - low)) * (to - from);
    return { at, log, low, high };
  };
  const ticks = ({ log, low, high }) => {
    const out = [];
    if (log) {
      const parts = high - low < 2 ? [1, 2, 5] : [1];
      const step = Math.max(1, Math.round((high - low) / 7));
      for (let e = Math.floor(low); e <= high; e += step) {
        for (const part of parts) {
          const place = e + Math.log10(part);
          if (place >= low && place <= high) out.push(part * 10 ** e);
        }
      }
      return out;
    }
    const rough = (high - low) / 6;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * unit).find((n) => n >= rough);
    for (let value = Math.ceil(low / step) * step; value <= high * (1 + 1e-9); value += step) out.push(Number(value.toPrecision(12)));
    return out;
  };
  const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 });

  // Marks -----------------------------------------------------------------------------------------------------------------
  const shape = (symbol, x, y, size) => {
    const r = size / 2;
    if (symbol.startsWith("circle")) return `M${x - r},${y}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0Z`;
    const turns = { square: [4, 45, 1.25], diamond: [4, 0, 1.25], star: [10, -90, 1.1] }[symbol] || [4, 0, 1];
    const points = [];
    for (let i = 0; i < turns[0]; i += 1) {
      const long = symbol === "star" && i % 2 ? 0.45 * r : r * turns[2];
      const angle = ((turns[1] + (360 * i) / turns[0]) * Math.PI) / 180;
      points.push(`${x + long * Math.cos(angle)},${y + long * Math.sin(angle)}`);
    }
    return `M${points.join("L")}Z`;
  };
  const path = (trace, ax, ay) => {
    let out = "";
    let pen = false;
    let before = null;
    trace.x.forEach((value, i) => {
      if (value === null || trace.y[i] === null) { pen = false; return; }
      const [x, y] = [ax.at(value), ay.at(trace.y[i])];
      if (pen && trace.line.shape === "hv") out += `L${x},${before}`;
      out += `${pen ? "L" : "M"}${x},${y}`;
      [pen, before] = [true, y];
    });
    return out;
  };
  const of = (value, i) => (Array.isArray(value) ? value[i] : value);

  // The figure ------------------------------------------------------------------------------------------------------------
  const react = (place, data, layout) => {
    const [width, height] = [place.clientWidth || 660, place.clientHeight || 420];
    const [left, right, top, bottom] = [62, width - 12, 16, height - 48];
    place.data = data;
    place.layout = layout;
    place.spots = [];
    const svg = make("svg", { class: "drawn", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const seen = data.filter((trace) => trace.visible !== false);
    const all = (key) => (seen.length ? seen : data).flatMap((trace) => trace[key]);
    const ax = scale(layout.xaxis, all("x"), left, right);
    const ay = scale(layout.yaxis, all("y"), bottom, top);
    const clip = `clip-${place.id}`;
    make("rect", { x: left, y: top - 8, width: right - left + 8, height: bottom - top + 8 }, make("clipPath", { id: clip }, svg));
    const grid = make("g", { class: "grid" }, svg);
    const fit = ticks(ax).filter((_, i, every) => every.length < (width < 500 ? 6 : 12) || i % 2 === 0);
    for (const value of fit) {
      make("line", { x1: ax.at(value), x2: ax.at(value), y1: top, y2: bottom }, grid);
      make("text", { x: ax.at(value), y: bottom + 16, "text-anchor": "middle" }, grid).textContent = number(value);
    }
    for (const value of ticks(ay)) {
      make("line", { x1: left, x2: right, y1: ay.at(value), y2: ay.at(value) }, grid);
      make("text", { x: left - 6, y: ay.at(value) + 4, "text-anchor": "end" }, grid).textContent = number(value);
    }
    const title = { class: "xtitle", x: (left + right) / 2, y: height - 8, "text-anchor": "middle" };
    make("text", title, svg).textContent = layout.xaxis.title.text;
    const up = { class: "ytitle", transform: `translate(13 ${(top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" };
    make("text", up, svg).textContent = layout.yaxis.title.text;
    data.forEach((trace, number_) => {
      if (trace.visible === false) return;
      const group = make("g", { class: "points", "clip-path": `url(#${clip})`, opacity: trace.opacity || 1 }, svg);
      const mode = trace.mode;
      if (mode.includes("lines")) {
        const words = { d: path(trace, ax, ay), fill: "none", stroke: trace.line.color, "stroke-width": trace.line.width };
        if (trace.line.dash && trace.line.dash !== "solid") words["stroke-dasharray"] = "6 4";
        make("path", words, group);
      }
      if (mode.includes("markers")) {
        const marker = trace.marker;
        trace.x.forEach((value, i) => {
          if (value === null) return;
          const [x, y] = [ax.at(value), ay.at(trace.y[i])];
          const symbol = String(of(marker.symbol, i) || "circle");
          const color = of(marker.color, i) || (trace.line || {}).color;
          const open = symbol.endsWith("open");
          const edge = (marker.line || {}).width || 0;
          make("path", {
            d: shape(symbol, x, y, of(marker.size, i) || 6), fill: open ? "none" : color, "fill-opacity": marker.opacity || 1,
            stroke: open ? color : (marker.line || {}).color || "none", "stroke-width": edge,
          }, group);
          if (trace.hovertext) place.spots.push([x, y, number_, i, (of(marker.size, i) || 6) / 2]);
        });
      }
      if (mode.includes("text")) {
        trace.text.forEach((text, i) => {
          if (!text) return;
          const [down, side] = String(of(trace.textposition, i)).split(" ");
          const [x, y] = [ax.at(trace.x[i]), ay.at(trace.y[i])];
          const dx = { left: -9, right: 9, center: 0 }[side];
          const words = { class: "name", x: x + dx, y: y + (down === "top" ? -7 : 14), "text-anchor": { left: "end", right: "start", center: "middle" }[side] };
          make("text", words, svg).textContent = plain(text);
        });
      }
    });
    const label = document.createElement("div");
    label.className = "hoverlayer";
    label.hidden = true;
    place.replaceChildren(svg, label);
    if (!place.watched) {
      place.watched = true;
      place.addEventListener("mousemove", (event) => near(place, event));
      place.addEventListener("mouseleave", () => unhover(place));
      new ResizeObserver(() => {
        if (place.clientWidth && place.clientWidth !== Number(place.firstChild.getAttribute("width"))) react(place, place.data, place.layout);
      }).observe(place);
    }
    return Promise.resolve();
  };
  const restyle = (key, change, traces) => {
    const place = document.getElementById(key);
    traces.forEach((trace, k) => {
      for (const [name, value] of Object.entries(change)) place.data[trace] = { ...place.data[trace], [name]: Array.isArray(value) ? value[k] : value };
    });
    react(place, place.data, place.layout);
  };

  // What lies under the pointer -------------------------------------------------------------------------------------------
  const near = (place, event) => {
    const box = place.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    for (const spot of place.spots) {
      const far = Math.hypot(spot[0] - px, spot[1] - py) - spot[4];
      if (far < 8 && (!best || far < best[0])) best = [far, spot];
    }
    if (best) hover(place, best[1][2], best[1][3]); else unhover(place);
  };
  const told = (place, kind, trace, point) => place.dispatchEvent(new CustomEvent(kind, { detail: { trace, point } }));
  const hover = (place, trace, point) => {
    if (place.lit === `${trace} ${point}`) return;
    unhover(place);
    const spot = place.spots.find((each) => each[2] === trace && each[3] === point);
    if (!spot) return;
    place.lit = `${trace} ${point}`;
    const label = place.querySelector(".hoverlayer");
    label.textContent = plain(of(place.data[trace].hovertext, point));
    label.hidden = false;
    const wide = Math.min(label.offsetWidth, place.clientWidth);
    label.style.left = `${Math.max(0, Math.min(spot[0] + 12, place.clientWidth - wide))}px`;
    label.style.top = `${Math.max(0, spot[1] - label.offsetHeight - 10)}px`;
    told(place, "lit", trace, point);
  };
  const unhover = (place) => {
    if (!place.lit) return;
    const [trace, point] = place.lit.split(" ").map(Number);
    place.lit = "";
    place.querySelector(".hoverlayer").hidden = true;
    told(place, "unlit", trace, point);
  };
  return { react, restyle, hover, unhover };
})();
