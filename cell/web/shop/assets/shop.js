"use strict";
(function () {
  var d = document, all = function (sel, f) { d.querySelectorAll(sel).forEach(f); };
  var lang = d.documentElement.lang;

  // A form is sent once; a page that comes back out of the browser's memory can be sent again.
  all("form[data-once]", function (form) {
    var sent = false;
    function again() {
      sent = false;
      if (form.elements.key) form.elements.key.remove();
      all("button", function (b) { b.removeAttribute("aria-disabled"); });
    }
    form.addEventListener("submit", function (e) {
      if (sent) { e.preventDefault(); return; }
      sent = true;
      if (d.body.classList.contains("framed")) setTimeout(again, 2000); // it opens a tab, and this page stays
      if (form.hasAttribute("data-event") && !form.elements.key && self.crypto && crypto.randomUUID) {
        var k = d.createElement("input");
        k.type = "hidden"; k.name = "key"; k.value = crypto.randomUUID();
        form.appendChild(k);
      }
      all("button", function (b) { if (b.form === form) b.setAttribute("aria-disabled", "true"); });
    });
    addEventListener("pageshow", function (e) {
      if (e.persisted) again();
    });
  });

  all("[data-focus]", function (box) { box.focus(); });

  // Times as the reader's clock shows them.
  all("[data-local]", function (el) {
    var at = new Date(el.dataset.local), own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!own || own === el.dataset.zone) return;
    var f = function (zone) { return new Intl.DateTimeFormat("en", { dateStyle: "short", timeStyle: "short", timeZone: zone }).format(at); };
    try { if (f(own) === f(el.dataset.zone)) return; } catch (e) { /* an unknown zone: say the time anyway */ }
    el.textContent = el.dataset.words.replace("{0}", new Intl.DateTimeFormat(lang, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" }).format(at));
    el.hidden = false;
  });
  all("time[data-when]", function (el) {
    el.textContent = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" }).format(new Date(el.dateTime));
  });

  // What is left is asked at the event's home; the page may be a copy.
  all("form[data-live]", function (form) {
    var words = form.dataset, tries = 0;
    function ask() {
      fetch("/v1/events/" + encodeURIComponent(words.event), { headers: { Accept: "application/json" } }).then(function (r) {
        if (!r.ok) throw r;
        return r.json();
      }).then(function (e) {
        var known = false;
        e.ticket_types.forEach(function (t) {
          var row = form.querySelector("[data-type='" + t.id + "']"), left = row && row.querySelector("[data-left]");
          if (!left || row.classList.contains("off")) return;
          known = known || t.availability !== "unknown";
          left.textContent = words[t.availability] || words.unknown;
          left.className = "left left-" + t.availability;
          var s = row.querySelector("select");
          if (s && t.availability === "none") { s.value = "0"; s.disabled = true; row.classList.add("off"); }
        });
        var note = form.querySelector("[data-unknown-note]");
        if (note) note.hidden = known;
        if (!known) again();
      }).catch(again);
    }
    function again() { if (tries++ < 8) setTimeout(ask, Math.min(5000 * tries, 30000)); }
    ask();
  });

  // The clock of a hold goes by what the server said was left, not by this machine's time.
  all("[data-countdown]", function (form) {
    var end = performance.now() + form.dataset.countdown * 1000, clock = form.querySelector("[data-clock]"), spoken = form.querySelector("[data-spoken]"), said = -1;
    function tick() {
      var s = Math.max(0, Math.round((end - performance.now()) / 1000)), m = Math.floor(s / 60);
      clock.textContent = m + ":" + String(s % 60).padStart(2, "0");
      if (m !== said && (s === 60 || s === 120 || s === 300)) { said = m; spoken.textContent = spoken.dataset.words.replace("{0}", m); }
      if (s === 0) { spoken.textContent = form.dataset.over; location.reload(); return; }
      setTimeout(tick, 1000 - (performance.now() % 1000));
    }
    if (form.dataset.countdown > 0) tick();
  });

  // What was typed survives a reload, and a hold that ended.
  all("form[data-draft]", function (form) {
    var key = "guichet-draft-" + form.dataset.draft, fields = function () { return Array.from(form.elements).filter(function (f) { return f.name && f.type !== "hidden"; }); };
    var kept = {};
    try { kept = JSON.parse(sessionStorage.getItem(key)) || {}; } catch (e) { /* no storage */ }
    fields().forEach(function (f) {
      if (!(f.name in kept)) return;
      if (f.type === "checkbox") f.checked = f.checked || kept[f.name]; else if (!f.value) f.value = kept[f.name];
    });
    form.addEventListener("input", function () {
      var now = {};
      fields().forEach(function (f) { now[f.name] = f.type === "checkbox" ? f.checked : f.value; });
      try { sessionStorage.setItem(key, JSON.stringify(now)); } catch (e) { /* no storage */ }
    });
  });

  // An order that is being decided.
  all("[data-watch]", function (box) {
    var wait = 700, until = Date.now() + 10 * 60 * 1000;
    function ask() {
      fetch(box.dataset.watch, { headers: { Accept: "application/json" } }).then(function (r) { return r.json(); }).then(function (o) {
        if (o.state && o.state + " " + o.payment_state !== box.dataset.state) location.reload(); else later();
      }).catch(later);
    }
    function later() { if (Date.now() < until) { setTimeout(ask, wait); wait = Math.min(wait * 1.4, 5000); } }
    setTimeout(ask, 300);
  });

  all("form[data-open]", function (form) {
    var token = location.hash.slice(1);
    if (!token) return;
    history.replaceState(null, "", location.pathname);
    form.elements.token.value = token;
    form.submit();
  });

  all("[data-share]", function (b) {
    if (!navigator.share) return;
    b.hidden = false;
    b.addEventListener("click", function () { navigator.share({ title: d.title, url: location.href.split("?")[0] }).catch(function () {}); });
  });

  all("a[data-near]", function (a) {
    if (!navigator.geolocation) return;
    a.addEventListener("click", function (e) {
      e.preventDefault();
      navigator.geolocation.getCurrentPosition(function (p) {
        location.href = a.href.replace("near=me", "near=" + p.coords.latitude.toFixed(2) + "," + p.coords.longitude.toFixed(2));
      }, function () { location.href = a.href; }, { timeout: 4000, maximumAge: 600000 });
    });
  });

  // Suggestions: a list box as the ARIA practices describe it.
  all("form[data-suggest]", function (form) {
    var input = form.elements.q, list, timer, at = -1, asked = 0;
    function close() { if (list) { list.remove(); list = null; } at = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); }
    function go(li) { if (li.dataset.id) location.href = "/" + lang + "/events/" + li.dataset.id; else { input.value = li.dataset.text; form.submit(); } }
    function show(items) {
      close();
      if (!items.length) return;
      list = d.createElement("ul");
      list.className = "suggest"; list.id = input.id + "-list"; list.setAttribute("role", "listbox"); list.setAttribute("aria-label", input.placeholder);
      items.forEach(function (s, i) {
        var li = d.createElement("li");
        li.id = list.id + i; li.setAttribute("role", "option"); li.setAttribute("aria-selected", "false"); li.textContent = s.text;
        li.dataset.text = s.text; if (s.kind === "event" && s.id) li.dataset.id = s.id;
        li.addEventListener("mousedown", function (e) { e.preventDefault(); go(li); });
        list.appendChild(li);
      });
      form.appendChild(list);
      input.setAttribute("aria-expanded", "true"); input.setAttribute("aria-controls", list.id);
    }
    input.setAttribute("role", "combobox"); input.setAttribute("aria-autocomplete", "list"); input.setAttribute("aria-expanded", "false");
    input.addEventListener("input", function () {
      clearTimeout(timer);
      var text = input.value.trim(), mine = ++asked;
      if (text.length < 2) { close(); return; }
      timer = setTimeout(function () {
        fetch("/v1/events/suggest?q=" + encodeURIComponent(text)).then(function (r) { return r.ok ? r.json() : { items: [] }; }).then(function (r) { if (mine === asked) show(r.items || []); }).catch(function () {});
      }, 120);
    });
    input.addEventListener("keydown", function (e) {
      if (!list) return;
      var n = list.children.length;
      if (e.key === "ArrowDown" || e.key === "ArrowUp") {
        e.preventDefault();
        if (at >= 0) list.children[at].setAttribute("aria-selected", "false");
        at = (at + (e.key === "ArrowDown" ? 1 : at < 0 ? 0 : -1) + n) % n;
        list.children[at].setAttribute("aria-selected", "true");
        input.setAttribute("aria-activedescendant", list.children[at].id);
      } else if (e.key === "Enter" && at >= 0) { e.preventDefault(); go(list.children[at]); } else if (e.key === "Escape") close();
    });
    input.addEventListener("blur", function () { setTimeout(close, 100); });
  });

  var wide = matchMedia("(min-width:56rem)");
  all("details[data-open-wide]", function (el) {
    function set() { el.open = wide.matches; }
    wide.addEventListener("change", set);
    set();
  });
})();
