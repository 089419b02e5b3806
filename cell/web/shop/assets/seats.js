"use strict";
(function () {
  var form = document.querySelector("form[data-seats]");
  if (!form) return;
  var boxes = {}, marks = {}, o = form.dataset, plan = form.querySelector("[data-plan]"), svg = plan.querySelector("svg"), status = form.querySelector("[data-chosen]"), tag;
  form.querySelectorAll("input[data-s]").forEach(function (b) { boxes[b.dataset.s] = b; });
  svg.querySelectorAll("[data-s]").forEach(function (m) { marks[m.dataset.s] = m; });
  function nameOf(b) { return b.closest("fieldset").querySelector("legend").textContent + " " + b.parentNode.querySelector("span").textContent; }
  function show() {
    var chosen = Object.values(boxes).filter(function (b) { return b.checked; });
    status.textContent = chosen.length ? chosen.length + ": " + chosen.map(nameOf).join(", ") : o.chosenNone;
    Object.keys(marks).forEach(function (id) { if (boxes[id]) marks[id].classList.toggle("on", boxes[id].checked); });
  }
  form.addEventListener("change", show);
  svg.addEventListener("click", function (e) {
    var m = e.target.closest(".seat"), b = m && boxes[m.dataset.s];
    if (!b || b.disabled) return;
    b.checked = !b.checked;
    show();
  });
  // Zoom keeps the middle of what is seen; a finger pans by scrolling.
  var zoom = form.querySelector("[data-zoom]"), width = 100;
  zoom.hidden = false;
  function scale(by) {
    var x = (plan.scrollLeft + plan.clientWidth / 2) / plan.scrollWidth, y = (plan.scrollTop + plan.clientHeight / 2) / plan.scrollHeight;
    width = Math.min(800, Math.max(100, width * by));
    svg.setAttribute("width", width + "%");
    plan.scrollLeft = x * plan.scrollWidth - plan.clientWidth / 2;
    plan.scrollTop = y * plan.scrollHeight - plan.clientHeight / 2;
  }
  zoom.addEventListener("click", function (e) { var b = e.target.closest("[data-by]"); if (b) scale(+b.dataset.by); });
  if (innerWidth < 600) scale(2.2);
  // Seats that others take are seen within seconds; the server says 304 while nothing changes.
  function look() {
    if (document.hidden) { setTimeout(look, 4000); return; }
    fetch("/v1/events/" + encodeURIComponent(o.seats) + "/seats", { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} }).then(function (r) {
      if (r.status !== 200) return;
      tag = r.headers.get("ETag");
      return r.json().then(function (m) {
        var lost = [];
        m.sections.forEach(function (s) { s.rows.forEach(function (row) { row.seat_ids.forEach(function (id, i) {
          var b = boxes[id];
          if (!b || row.status[i] === "f" || b.disabled) return;
          if (b.checked) lost.push(nameOf(b));
          b.checked = false; b.disabled = true; b.parentNode.classList.add("gone");
          if (marks[id]) marks[id].classList.add("taken");
        }); }); });
        show();
        if (lost.length) status.textContent = o.taken + " " + lost.join(", ");
      });
    }).catch(function () {}).then(function () { setTimeout(look, 4000); });
  }
  setTimeout(look, 1500);
  show();
})();
