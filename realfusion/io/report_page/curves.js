// Reading values off the curves, by pointer or arrow keys; and calm for those who ask.
"use strict";
(() => {
  const format = (value) =>
    value === 0 ? "0" : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4
      ? String(Number(value.toPrecision(4))) : value.toExponential(2);
  for (const svg of document.querySelectorAll("svg[data-curve]")) {
    const points = JSON.parse(svg.dataset.curve); // [step, value, x, y]
    const readout = svg.closest(".card").querySelector("output");
    const resting = readout.textContent;
    const cursor = svg.querySelector(".cursor"), dot = svg.querySelector(".dot");
    let index = points.length - 1;
    const show = (chosen) => {
      index = Math.min(points.length - 1, Math.max(0, chosen));
      const [step, value, x, y] = points[index];
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      dot.setAttribute("cx", x);
      dot.setAttribute("cy", y);
      cursor.style.visibility = dot.style.visibility = "visible";
      readout.textContent = `${format(value)} at step ${step}`;
    };
    const hide = () => {
      cursor.style.visibility = dot.style.visibility = "hidden";
      readout.textContent = resting;
    };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      let best = 0;
      points.forEach((point, i) => {
        if (Math.abs(point[2] - x) < Math.abs(points[best][2] - x)) best = i;
      });
      show(best);
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("focus", () => show(index));
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const stride = Math.max(1, Math.round(points.length / 50));
      if (event.key === "ArrowLeft") show(index - stride);
      else if (event.key === "ArrowRight") show(index + stride);
      else return;
      event.preventDefault();
    });
  }
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    for (const video of document.querySelectorAll("video")) {
      video.autoplay = false;
      video.pause();
    }
  }
})();
