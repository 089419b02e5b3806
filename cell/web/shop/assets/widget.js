"use strict";
// <script src="…/widget.js" data-event="evt_…"></script> on a page of another site: the shop
// of an event in a frame, and a link where that cannot be.
(function () {
  var d = document, script = d.currentScript, words = {"WORDS":""};
  if (!script || !/^evt_[a-z0-9_]{1,100}$/.test(script.dataset.event || "")) return;
  var event = script.dataset.event, origin = new URL(script.src).origin, lang = "en";
  [script.dataset.lang, d.documentElement.lang, navigator.language].some(function (l) {
    l = (l || "").slice(0, 2).toLowerCase();
    return Object.prototype.hasOwnProperty.call(words, l) && (lang = l);
  });
  var page = origin + "/" + lang + "/events/" + event, box = d.createElement("div"), link = d.createElement("a"), frame = d.createElement("iframe"), shown = false;
  box.className = "guichet";
  link.href = page; link.target = "_blank"; link.rel = "noopener"; link.textContent = script.dataset.label || words[lang];
  frame.title = link.textContent;
  // What is in the frame may open tabs, but not lead this page away.
  frame.setAttribute("sandbox", "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox");
  frame.referrerPolicy = "origin"; // tells the frame for whom to say how high it is
  frame.style.cssText = "display:block;width:100%;height:1px;border:0;visibility:hidden;color-scheme:normal";
  frame.src = page + "/embed";
  // Until the frame has said how high it is there is the link: a site that is not allowed
  // to show the frame, and a shop that is away, say nothing.
  addEventListener("message", function (e) {
    var m = e.data;
    if (e.source !== frame.contentWindow || e.origin !== origin || !m || m.guichet !== "height" || m.event !== event || !(m.height > 0)) return;
    frame.style.height = Math.min(Math.max(Math.ceil(m.height), 80), 10000) + "px";
    frame.style.visibility = "visible";
    link.style.display = "none";
    shown = true;
  });
  frame.addEventListener("load", function () { setTimeout(function () { if (!shown) frame.remove(); }, 3000); });
  box.append(link, frame);
  if (script.closest("body")) script.after(box); else addEventListener("DOMContentLoaded", function () { d.body.append(box); });
})();
