package checkout

import (
	"errors"
	"sync"
	"time"
)

// Bounds of what is done to many at once, beside the flows.
const (
	atOnce      = 8 // one provider's call that hangs must not hold up the others
	callTimeout = 5 * time.Second
)

// each works on all items, a few at once, and joins what failed.
func each[T any](items []T, work func(T) error) error {
	errs := make([]error, len(items))
	slots := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for i, item := range items {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			errs[i] = work(item)
		})
	}
	running.Wait()
	return errors.Join(errs...)
}
