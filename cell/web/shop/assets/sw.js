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
  }).then(function () { return caches.open(SHELL); }).then(function (c) {
    return c.keys().then(function (all) { // files of older programs
      return Promise.all(all.filter(function (k) { return FILES.indexOf(new URL(k.url).pathname) < 0; }).map(function (k) { return c.delete(k); }));
    });
  }).then(function () { return self.clients.claim(); }));
});
function kept() { return caches.match("/wallet", { cacheName: SHELL }).then(function (r) { return r || Response.error(); }); }
// A hall's network may be there and carry nothing: the wallet does not wait for it.
function soon(answer) {
  return new Promise(function (done, fail) {
    answer.then(done, fail);
    setTimeout(function () { kept().then(function (r) { if (r.ok) done(r); }); }, 2000);
  });
}
self.addEventListener("fetch", function (e) {
  var u = new URL(e.request.url), path = u.pathname;
  if (u.origin !== location.origin) return;
  if (e.request.method === "POST" && (path === "/account/sign-out" || path === "/wallet/forget")) { e.waitUntil(caches.delete(WALLET)); return; }
  if (e.request.method !== "GET") return;
  if (path.startsWith("/assets/")) {
    e.respondWith(caches.match(e.request, { cacheName: SHELL }).then(function (r) { return r || fetch(e.request); }));
  } else if (e.request.mode === "navigate") {
    var answer = fetch(e.request).then(function (r) {
      if (path === "/wallet" && r.ok) { var copy = r.clone(); return caches.open(SHELL).then(function (c) { return c.put("/wallet", copy); }).then(function () { return r; }); }
      return r;
    });
    e.waitUntil(answer.catch(function () {}));
    e.respondWith((path === "/wallet" ? soon(answer) : answer).catch(kept));
  } else if (e.request.destination === "image" && /\/tickets\/[a-z0-9_]+\.png$/.test(path)) { // a ticket's code never changes: another one has another id
    e.respondWith(caches.match(path, { cacheName: WALLET }).then(function (r) { return r || fetch(e.request); }));
  }
});
