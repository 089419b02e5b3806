package atlas_test

import (
	"context"
	"testing"
	"time"
)

// contextUntil ends when ok, or at a deadline that fails the test by its assertions.
func contextUntil(t *testing.T, ok func() bool) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	go func() {
		for ctx.Err() == nil && !ok() {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	return ctx, cancel
}
