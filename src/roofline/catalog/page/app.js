"use strict";
// A page that a browser takes from its memory shows the question of its address, not what was typed since.
addEventListener("pageshow", (event) => {
  if (event.persisted) document.querySelector("form").reset();
});
