"use strict";
(function () {
  var form = document.querySelector("form[data-pay]");
  if (!form) return;
  var o = form.dataset, words = JSON.parse(o.words), box = form.querySelector("[data-error]"), button = form.querySelector(".go button"), label = button.textContent, busy = false, stripe, elements;
  form.hidden = false;
  if (!o.pay && self.Stripe) {
    stripe = Stripe(o.key, { locale: o.locale });
    elements = stripe.elements({ clientSecret: o.secret });
    elements.create("payment").mount(form.querySelector("[data-element]"));
  }
  function show(text) {
    busy = false;
    button.removeAttribute("aria-disabled");
    button.textContent = label;
    box.textContent = text;
    box.hidden = false;
    box.focus();
  }
  function done() { location.assign(o.done); }
  function refused(e) {
    if (!e) return done();
    var code = e.decline_code || e.code;
    if (e.code === "payment_intent_authentication_failure") code = "authentication";
    if (e.code === "payment_intent_unexpected_state") { show(words.gone); return done(); }
    show(words[code] || words[e.code] || e.message || words.card_declined);
  }
  // The buyer may come back from the bank, or the page out of the browser's memory, when
  // all is decided: the order knows.
  function look() {
    return fetch(o.state, { headers: { Accept: "application/json" } }).then(function (r) { return r.json(); }).then(function (s) { if (s.state && s.state !== "pending") done(); });
  }
  addEventListener("pageshow", function (e) { if (e.persisted) look().then(function () { busy = false; button.removeAttribute("aria-disabled"); button.textContent = label; }); });
  form.addEventListener("submit", function (e) {
    e.preventDefault();
    if (busy) return;
    busy = true;
    box.hidden = true;
    button.setAttribute("aria-disabled", "true");
    button.textContent = button.dataset.busy;
    if (stripe) {
      stripe.confirmPayment({ elements: elements, confirmParams: { return_url: o.back }, redirect: "if_required" }).then(function (r) { if (r.error) refused(r.error); else done(); });
      return;
    }
    var body = new URLSearchParams({ payment_method: form.elements.card.value, client_secret: o.secret, return_url: o.back });
    fetch(o.pay + "/v1/payment_intents/" + encodeURIComponent(o.secret.split("_secret_")[0]) + "/confirm", { method: "POST", headers: { Authorization: "Bearer " + o.key }, body: body }).then(function (r) { return r.json(); }).then(function (a) {
      if (a.error) return refused(a.error);
      if (a.status === "requires_action") return location.assign(a.next_action.redirect_to_url.url);
      if (a.status === "requires_payment_method") return refused(a.last_payment_error);
      done();
    }).catch(function () { show(words.network); });
  });
})();
