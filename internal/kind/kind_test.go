package kind_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"guichet/internal/kind"
)

var errSoldOut = kind.Conflict.New("sold_out")

func TestError_keepsItsIdentityThroughEveryDetail(t *testing.T) {
	other := kind.Conflict.New("sold_out") // same words, another sentinel
	for name, err := range map[string]error{
		"itself":    errSoldOut,
		"with":      errSoldOut.With("%d left", 2),
		"field":     errSoldOut.Field("left", 2),
		"after":     errSoldOut.After(time.Second),
		"at":        errSoldOut.At("/items/0", "too many"),
		"all":       errSoldOut.With("a").Field("b", 1).After(time.Second).At("/c", "d"),
		"wrapped":   fmt.Errorf("place hold: %w", errSoldOut.With("x")),
		"joined":    errors.Join(errors.New("cause"), errSoldOut.With("x")),
		"many deep": fmt.Errorf("a: %w", fmt.Errorf("b: %w", errSoldOut)),
	} {
		if !errors.Is(err, errSoldOut) || errors.Is(err, other) || kind.Of(err) != kind.Conflict {
			t.Errorf("%s: %v is not recognized, or as another", name, err)
		}
	}
}

func TestError_isNeverChangedByItsCopies(t *testing.T) {
	first := errSoldOut.Field("left", 2)
	second := first.Field("left", 3).Field("more", true).With("x").After(time.Minute)
	if len(errSoldOut.Fields) != 0 || errSoldOut.Detail != "" || errSoldOut.Retry != 0 {
		t.Errorf("the sentinel changed: %+v", errSoldOut)
	}
	if first.Fields["left"] != 2 || len(first.Fields) != 1 || first.Detail != "" {
		t.Errorf("the first copy changed: %+v", first)
	}
	if second.Fields["left"] != 3 || second.Retry != time.Minute || second.Error() != "sold_out: x" || first.Error() != "sold_out" {
		t.Errorf("the second copy is %+v", second)
	}
}

func TestError_pointsAtItsPlace(t *testing.T) {
	for pointer, want := range map[string]string{"/a/0": "/a/0: must be 5", "": "the body must be 5"} {
		e := errSoldOut.At(pointer, "must be %d", 5)
		faults, _ := e.Fields["errors"].([]kind.Fault)
		if e.Detail != want || len(faults) != 1 || faults[0] != (kind.Fault{Pointer: pointer, Detail: "must be 5"}) {
			t.Errorf("%q: %q and %v", pointer, e.Detail, faults)
		}
	}
}

func TestOf_takesAStrangersErrorForInternal(t *testing.T) {
	for _, err := range []error{nil, errors.New("x"), fmt.Errorf("y: %w", errors.New("z"))} {
		if kind.Of(err) != kind.Internal || kind.As(err) != nil {
			t.Errorf("%v has a kind", err)
		}
	}
}

func TestStatus_isAnHTTPErrorForEveryKind(t *testing.T) {
	seen := map[int]kind.Kind{}
	for k := kind.Internal; k <= kind.Unavailable; k++ {
		s := k.Status()
		if before, twice := seen[s]; twice || s < 400 || s > 599 {
			t.Errorf("kind %d has status %d, as kind %d", k, s, before)
		}
		seen[s] = k
	}
	if kind.Kind(99).Status() != 500 {
		t.Error("a kind that nobody knows must not reach net/http as status 0")
	}
}
