package leaf_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"guichet/cell/bus"
	"guichet/control-plane/topology"
)

// link is the way from a leaf to the hub; cut, it swallows every byte and
// closes nothing, as a broken router on the way does.
type link struct {
	addr string
	cut  atomic.Bool
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); _ = l.Close() })
	k := &link{addr: l.Addr().String()}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go k.carry(ctx, near, to)
		}
	}()
	return k
}

func (k *link) carry(ctx context.Context, near net.Conn, to string) {
	far, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
	if err != nil {
		_ = near.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = near.Close(); _ = far.Close() })
	defer stop()
	go k.pipe(far, near)
	k.pipe(near, far)
}

func (k *link) pipe(dst io.WriteCloser, src io.ReadCloser) {
	defer func() { _ = dst.Close(); _ = src.Close() }()
	b := make([]byte, 32<<10)
	for {
		n, err := src.Read(b)
		if err != nil {
			return
		}
		if k.cut.Load() {
			continue
		}
		if _, err := dst.Write(b[:n]); err != nil {
			return
		}
	}
}

func TestLink_cutWithoutAWordTheCellGoesOnAndCatchesUpLater(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	k := newLink(t, w.hubCfg.LeafListen)
	lone := w.openLeaf("sae1", t.TempDir(), k.addr)
	if err := w.hub.Gather(t.Context(), append([]topology.CellID{"sae1"}, cells...)); err != nil {
		t.Fatal(err)
	}
	far, own := w.consume(w.leaves["euw3"], "far", bus.EveryCatalog), w.consume(lone, "own", bus.EveryCatalog)
	here, there := newOutbox("sae1"), newOutbox("euw3")
	near, other := w.relay(lone, here), w.relay(w.leaves["euw3"], there)
	put := func(from, to int) {
		for i := from; i < to; i++ {
			here.put("k", doc("sae1", 0), fmt.Sprint("s", i))
			there.put("k", doc("euw3", 0), fmt.Sprint("e", i))
		}
		near.Wake()
		other.Wake()
	}
	put(0, 10)
	eventually(t, "both hear both", func() bool { return far.count() == 20 && own.count() == 20 })

	k.cut.Store(true)
	put(10, 30)
	eventually(t, "each hears its own", func() bool { return own.count() >= 40 && far.count() >= 40 })
	eventually(t, "the leaf notices that the hub is gone", func() bool { return !lone.Hub() })
	if own.count() != 40 || far.count() != 40 {
		t.Errorf("something went around the cut link: %d, %d heard", own.count(), far.count())
	}

	k.cut.Store(false)
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprint("s", i), fmt.Sprint("e", i))
	}
	eventually(t, "both catch up", func() bool { return far.count() == 60 && own.count() == 60 })
	far.allOnce(t, "euw3", want...)
	own.allOnce(t, "sae1", want...)
}
