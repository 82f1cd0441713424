"use strict";
// An equation wider than the page scrolls in itself, and can be reached by keyboard to do so.
document.addEventListener("DOMContentLoaded", () => {
  const reach = () => {
    for (const block of document.querySelectorAll(".bd-article div.math")) {
      if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
      else block.removeAttribute("tabindex");
    }
  };
  window.addEventListener("resize", reach);
  window.addEventListener("load", reach);
  reach();
});
