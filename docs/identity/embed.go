// Package identity carries the realm with which a Keycloak serves Guichet, so that
// what the documentation describes is what the tests import.
package identity

import _ "embed"

// Realm is the realm's file; placeholders like ${GUICHET_SITE_URL} are filled in by
// Keycloak's import from its environment.
//
//go:embed realm.json
var Realm []byte
