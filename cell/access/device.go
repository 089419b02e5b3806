package access

// DeviceCookie is the name of the cookie that has a browser's own key: with it the shop
// encrypts the tokens that it leaves with the browser, and only there. Signing out takes it
// away, and with it every order and ticket that was opened in this browser.
const DeviceCookie = "__Host-guichet_device"

// ClearDevice is the value of the header Clear-Site-Data with which a browser drops the
// tickets that it keeps for when there is no network. Cookies are not in it: browsers would
// drop those of the whole domain, other sites' too.
const ClearDevice = `"storage"`
