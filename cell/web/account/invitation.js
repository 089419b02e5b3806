"use strict";
// An invitation's token stands behind the # of its mailed link, so that no browser sends
// it along with an address. This takes it out of the address and posts it.
(function () {
  function take() {
    var token = location.hash.slice(1);
    if (!token) return;
    history.replaceState(null, "", location.pathname + location.search);
    var form = document.createElement("form");
    form.method = "post";
    form.action = "/account/invitation" + location.search;
    var field = document.createElement("input");
    field.type = "hidden";
    field.name = "token";
    field.value = token;
    form.appendChild(field);
    document.body.appendChild(form);
    form.submit();
  }
  addEventListener("hashchange", take);
  take();
})();
