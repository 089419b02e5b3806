package httpd

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Bounds of the end of a program.
const (
	// DefaultNotice is how long a program that is to end goes on taking requests after
	// it has said that it is not ready: those in front ask every second or two.
	DefaultNotice = 3 * time.Second
	// Drain is how long requests may take that run then: longer than the longest one
	// can take, whose body is read and whose answer is written until the last moment.
	Drain = readTimeout + writeTimeout + 5*time.Second
)

var errDraining = errors.New("this process is ending and takes no new requests")

// Closing is how a program ends: it says that it is not ready, goes on for the notice
// until nobody sends it anything any more, lets the requests that run finish, and
// ends. The door that tells of readiness (Door.Last) stays open meanwhile.
type Closing struct {
	Health *Health
	Notice time.Duration // 0: at once
}

// ServeAll is the package's ServeAll with that end.
func (c Closing) ServeAll(ctx context.Context, doors ...Door) error {
	return serveAll(ctx, c, doors)
}

// announce tells those in front and waits for them to have heard it.
func (c Closing) announce(ctx context.Context) {
	if c.Health != nil {
		c.Health.Drain()
	}
	if c.Notice > 0 {
		slog.InfoContext(ctx, "ending: not ready any more, requests are still taken", slog.Duration("notice", c.Notice))
		time.Sleep(c.Notice)
	}
}

// serveAll serves at open doors until ctx ends or one of them fails.
func serveAll(ctx context.Context, c Closing, doors []Door) error {
	open, err := listenAll(ctx, doors)
	if err != nil {
		return err
	}
	// Three lives, one inside of the other: what is asked of the program, its doors, and
	// the door that is left open longest.
	asked, fail := context.WithCancel(ctx)
	defer fail()
	serving, closeDoors := context.WithCancel(context.WithoutCancel(ctx))
	defer closeDoors()
	telling, closeLast := context.WithCancel(context.WithoutCancel(ctx))
	defer closeLast()
	ended := make(chan error, len(doors))
	var others, all sync.WaitGroup
	for i, d := range doors {
		life := serving
		if d.Last {
			life = telling
		} else {
			others.Add(1)
		}
		all.Go(func() {
			defer fail()
			if !d.Last {
				defer others.Done()
			}
			ended <- serve(life, open[i], d)
		})
	}
	<-asked.Done()
	if ctx.Err() != nil { // not when a door failed: there is nothing to wait for
		c.announce(ctx)
	}
	closeDoors()
	others.Wait()
	closeLast()
	all.Wait()
	close(ended)
	var faults error
	for err := range ended {
		faults = errors.Join(faults, err)
	}
	return faults
}
