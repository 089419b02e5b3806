"use strict";
(function () {
  if (!("serviceWorker" in navigator) || !self.caches) return;
  var WALLET = "guichet-wallet", LIST = "/wallet/list", d = document;
  navigator.serviceWorker.register("/sw.js").catch(function () {});
  function read(c) { return c.match(LIST).then(function (r) { return r ? r.json() : {}; }); }
  // What is kept goes by the address it came from; asking again replaces it, so that a
  // ticket that was given away or canceled goes.
  // What was kept for 30 days after it began goes by itself.
  function past(t) { return new Date(t.starts) < Date.now() - 30 * 24 * 3600 * 1000; }
  // One at a time, in all tabs: each reads the list and writes it.
  function alone(f) { return navigator.locks ? navigator.locks.request(WALLET, f) : f(); }
  function keep(from, drop) {
    return (drop ? Promise.resolve({ status: 410 }) : fetch(from, { headers: { Accept: "application/json" }, cache: "no-store" })).then(function (r) {
      if (r.status === 401 || r.status === 404 || r.status === 410) return [];
      if (!r.ok) throw r;
      return r.json();
    }).then(function (tickets) {
      return alone(function () {
        return caches.open(WALLET).then(function (c) {
          return Promise.all(tickets.map(function (t) {
            return fetch(t.code).then(function (r) { if (r.ok) return c.put(t.code, r); });
          })).then(function () { return read(c); }).then(function (all) {
            var was = (all[from] || []).filter(function (t) { return !tickets.some(function (n) { return n.code === t.code; }); });
            if (tickets.length) all[from] = tickets; else delete all[from];
            return Promise.all(was.map(function (t) { return c.delete(t.code); })).then(function () {
              return c.put(LIST, new Response(JSON.stringify(all), { headers: { "Content-Type": "application/json" } }));
            });
          });
        });
      });
    });
  }
  d.querySelectorAll("[data-keep]").forEach(function (el) {
    keep(el.dataset.keep).then(function () { el.dataset.kept = "yes"; }).catch(function () {});
  });

  var page = d.querySelector("[data-wallet]");
  if (!page) return;
  var list = page.querySelector("[data-passes]"), forget = page.querySelector("[data-forget]");
  function add(parent, tag, text, cls) {
    var e = d.createElement(tag);
    if (text) e.textContent = text;
    if (cls) e.className = cls;
    parent.appendChild(e);
    return e;
  }
  function show() {
    return caches.open(WALLET).then(read).then(function (all) {
      var tickets = [].concat.apply([], Object.values(all)).sort(function (a, b) { return a.starts < b.starts ? -1 : 1; });
      list.textContent = "";
      tickets.forEach(function (t) {
        var li = add(list, "li", "", "pass"), text = add(li, "div", "", "pass-text");
        add(text, "strong", t.event, "pass-event");
        add(text, "span", t.when);
        add(text, "span", t.venue);
        add(text, "span", t.type, "pass-kind");
        if (t.attendee) add(text, "span", t.attendee).dir = "auto";
        var links = add(text, "span", "", "pass-links");
        add(links, "a", page.dataset.open).href = t.page;
        var img = add(add(li, "div", "", "qr"), "img");
        img.width = img.height = 320;
        img.alt = page.dataset.qr.replace("{0}", t.type);
        img.src = t.code;
      });
      page.querySelector("[data-empty]").hidden = tickets.length > 0;
      return all;
    });
  }
  forget.addEventListener("submit", function (e) {
    e.preventDefault();
    try { sessionStorage.clear(); } catch (x) { /* no storage */ }
    caches.delete(WALLET).finally(function () { forget.submit(); });
  });
  function offline() { page.querySelector("[data-offline]").hidden = navigator.onLine !== false; }
  addEventListener("online", offline);
  addEventListener("offline", offline);
  offline();
  function refresh() {
    return show().then(function (all) {
      return Object.keys(all).reduce(function (before, from) {
        return before.then(function () { return keep(from, all[from].every(past)); }).catch(function () { page.querySelector("[data-offline]").hidden = false; });
      }, Promise.resolve());
    }).then(show);
  }
  addEventListener("online", refresh);
  refresh();
  var install = page.querySelector("[data-install]");
  addEventListener("beforeinstallprompt", function (e) {
    e.preventDefault();
    install.hidden = false;
    install.onclick = function () { e.prompt(); install.hidden = true; };
  });
})();
