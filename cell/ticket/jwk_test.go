package ticket

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"guichet/cell/client"
	"guichet/control-plane/topology"
)

// The key of RFC 8037 appendix A.2, under a kid of ours.
const rfc8037 = `{"keys":[
	{"kty":"EC","crv":"P-256","kid":"other"},
	{"kty":"OKP","crv":"X25519","kid":"euw3-9","x":"AA"},
	{"kty":"OKP","crv":"Ed25519","kid":"euw3-1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`

func TestJWKSet_readsBackAsItWasPublished(t *testing.T) {
	t.Parallel()
	keys := []topology.Key{signer(t, "euw3-1").Public(), signer(t, "apn1-2").Public()}
	text, err := json.Marshal(JWKSet(keys))
	if err != nil {
		t.Fatal(err)
	}
	var set client.JWKSet
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	got, err := ParseJWKSet(set)
	if err != nil || !reflect.DeepEqual(got, keys) {
		t.Errorf("got %v, %v", got, err)
	}
	if j := set.Keys[0]; j.KeyType != "OKP" || j.Curve != "Ed25519" || j.Alg != "EdDSA" || j.Use != "sig" {
		t.Errorf("not an RFC 8037 key: %+v", j)
	}
	if got := JWKSet(nil); got.Keys == nil {
		t.Error("an empty set must be [], not null")
	}
}

func TestParseJWKSet_skipsForeignKeysAndReadsTheRFCs(t *testing.T) {
	t.Parallel()
	var set client.JWKSet
	if err := json.Unmarshal([]byte(rfc8037), &set); err != nil {
		t.Fatal(err)
	}
	keys, err := ParseJWKSet(set)
	if err != nil || len(keys) != 1 || keys[0].ID != "euw3-1" {
		t.Fatalf("got %v, %v", keys, err)
	}
}

func TestParseJWKSet_refusesWhatCannotVerify(t *testing.T) {
	t.Parallel()
	good := JWKSet([]topology.Key{signer(t, "euw3-1").Public()}).Keys[0]
	with := func(change func(*client.JWK)) client.JWKSet {
		j := good
		change(&j)
		return client.JWKSet{Keys: []client.JWK{j}}
	}
	for name, set := range map[string]client.JWKSet{
		"empty":        {},
		"twice":        {Keys: []client.JWK{good, good}},
		"foreign only": with(func(j *client.JWK) { j.KeyType = "RSA" }),
		"bad kid":      with(func(j *client.JWK) { j.KeyID = "../euw3" }),
		"short":        with(func(j *client.JWK) { j.X = j.X[:40] }),
		"padded":       with(func(j *client.JWK) { j.X += "=" }),
		"broken line":  with(func(j *client.JWK) { j.X = j.X[:20] + "\n" + j.X[20:] }),
		"too many":     {Keys: make([]client.JWK, MaxKeys+1)},
	} {
		if keys, err := ParseJWKSet(set); !errors.Is(err, ErrJWK) {
			t.Errorf("%s: %v, %v", name, keys, err)
		}
	}
	damaged := topology.Key{ID: "euw3-1", X: strings.Repeat("A", 10)}
	if _, ok := KeysOf([]topology.Key{damaged})("euw3-1"); ok {
		t.Error("a damaged key was found")
	}
}
