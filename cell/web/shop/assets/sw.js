"use strict";
// Pages are asked for over the network first; without one, the wallet is shown. What is
// kept of tickets stands in the cache "guichet-wallet", which wallet.js fills.
var SHELL = "guichet-shell-2", WALLET = "guichet-wallet", FILES = ["FILES"];
self.addEventListener("install", function (e) {
  e.waitUntil(caches.open(SHELL).then(function (c) { return c.addAll(FILES.map(function (f) { return new Request(f, { cache: "reload" }); })); }).then(function () { return self.skipWaiting(); }));
});
self.addEventListener("activate", function (e) {
  e.waitUntil(caches.keys().then(function (names) {
    return Promise.all(names.filter(function (n) { return n.startsWith("guichet-shell-") && n !== SHELL; }).map(function (n) { return caches.delete(n); }));
  }).then(function () { return self.clients.claim(); }));
});
self.addEventListener("fetch", function (e) {
  var u = new URL(e.request.url);
  if (u.origin !== location.origin) return;
  if (e.request.method === "POST" && u.pathname === "/account/sign-out") { e.waitUntil(caches.delete(WALLET)); return; }
  if (e.request.method !== "GET") return;
  if (u.pathname.startsWith("/assets/")) {
    e.respondWith(caches.match(e.request).then(function (kept) { return kept || fetch(e.request); }));
  } else if (e.request.mode === "navigate") {
    e.respondWith(fetch(e.request).then(function (r) {
      if (u.pathname === "/wallet" && r.ok) { var copy = r.clone(); e.waitUntil(caches.open(SHELL).then(function (c) { return c.put("/wallet", copy); })); }
      return r;
    }).catch(function () { return caches.match("/wallet"); }));
  } else if (/\/tickets\/[a-z0-9_]+\.png$/.test(u.pathname)) {
    e.respondWith(fetch(e.request).catch(function () { return caches.open(WALLET).then(function (c) { return c.match(u.pathname); }).then(function (kept) { return kept || Response.error(); }); }));
  }
});
