"use strict";
const pictures = [...document.querySelectorAll("button.flicker")];
const everywhere = document.getElementById("flicker");
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

const show = (picture, template) => picture.setAttribute("aria-pressed", String(template));
const shown = (picture) => picture.getAttribute("aria-pressed") === "true";

for (const picture of pictures) {
  picture.addEventListener("click", () => show(picture, !shown(picture)));
}

// twice a second; with reduced motion every press of the button changes all pictures once
let timer = 0;
let template = false;
function turn() {
  template = !template;
  for (const picture of pictures) show(picture, template);
}
everywhere.addEventListener("click", () => {
  if (calm) return turn();
  if (timer) {
    clearInterval(timer);
    timer = 0;
  } else timer = setInterval(turn, 500);
  everywhere.setAttribute("aria-pressed", String(timer !== 0));
});

document.getElementById("status").addEventListener("change", (event) => {
  for (const scan of document.querySelectorAll(".scan")) {
    scan.hidden = event.target.value !== "" && scan.dataset.status !== event.target.value;
  }
});
