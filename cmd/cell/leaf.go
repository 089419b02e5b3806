package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/leaf"
)

// leafRetry is the pause between two attempts to open the leaf.
const leafRetry = 10 * time.Second

// leafKeeper opens the cell's end of the bus. A store that cannot be opened keeps
// nobody from selling (P6, P8): the cell starts without the leaf, says so in /readyz
// and in its log, and tries again.
type leafKeeper struct {
	config leaf.Config
	reg    *prometheus.Registry
	retry  time.Duration

	mu      sync.Mutex
	fault   error // why there is none
	current *leaf.Leaf
}

// open tries once; nil when it failed. It never begins a new store in the place of one
// that cannot be read: positions of the hub and of consumers are numbers in it, and
// which of them are lost is for people to say (docs/bus.md).
func (k *leafKeeper) open(ctx context.Context) *leaf.Leaf {
	l, err := leaf.Start(ctx, k.config)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current, k.fault = l, err; err != nil {
		slog.ErrorContext(ctx, "the cell sells without the bus until its store can be opened", slog.Any("error", err))
		return nil
	}
	k.reg.MustRegister(l.Collectors()...)
	return l
}

// wait gives the leaf when there is one; nil when ctx ends before.
func (k *leafKeeper) wait(ctx context.Context, l *leaf.Leaf) *leaf.Leaf {
	for l == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(k.retry):
			l = k.open(ctx)
		}
	}
	return l
}

// ready says why the bus would not work now.
func (k *leafKeeper) ready(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.fault != nil:
		return fmt.Errorf("the bus's store cannot be opened: %w", k.fault)
	case k.current == nil:
		return errors.New("the bus is not open yet")
	}
	return k.current.Ready(ctx)
}
