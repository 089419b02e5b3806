package checkoutbench

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/letter"
	"guichet/cell/notify"
	"guichet/cell/smtp"
	"guichet/internal/pgserver"
)

// Measures of a town as `make run` opens it (cmd/guichet/town).
const (
	townServers = 4 // PostgreSQL: three cells and the control plane
	townConns   = 200
	// mailAge is how old a mail may be when it leaves.
	mailAge = time.Minute
)

// shipped is authorizing in a cell as a town runs it.
func shipped(h *house) way {
	w := authorizing(h)
	w.name = "5 as 4, the mails leaving, a town's database"
	w.posts = true
	return w
}

// townDatabase is a PostgreSQL of its own with the settings a town gives it.
func townDatabase(b *testing.B) string {
	b.Helper()
	bin, err := pgserver.Find()
	if err != nil {
		b.Skipf("a town's database needs PostgreSQL on this machine: %v", err)
	}
	server, err := pgserver.Start(b.Context(), pgserver.Config{
		Dir: b.TempDir(), Bin: bin, MaxConnections: townConns, Settings: pgserver.Sized(pgserver.Memory(), townServers),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.Context()), time.Minute)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			b.Error(err)
		}
	})
	if err := server.CreateDatabase(b.Context(), "guichet"); err != nil {
		b.Fatal(err)
	}
	dsn := server.DSN("guichet")
	if err := migrate(b.Context(), dsn); err != nil {
		b.Fatal(err)
	}
	return dsn
}

// mails counts what left a house.
type mails struct{ sent, bytes atomic.Int64 }

// post sends the house's mails, as a cell does beside its requests, to a server that
// takes everything and keeps nothing: what a real one costs is not the cell's.
func (h *house) post(b *testing.B) {
	b.Helper()
	courier, err := smtp.New("smtp://"+h.sink(b)+"?tls=off", "Guichet <tickets@town.example>")
	if err != nil {
		b.Fatal(err)
	}
	sender := &notify.Sender{
		Queue: h.store, Composer: &letter.Composer{Records: h.store, Access: accessKey(), Site: h.url}, Courier: courier, Pace: &h.desk.pace,
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(b.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			n, err := sender.Pass(ctx)
			if err != nil && ctx.Err() == nil {
				h.faults.report(err)
			}
			if n > 0 && err == nil {
				continue
			}
			select {
			case <-time.After(time.Second): // as cmd/cell does
			case <-ctx.Done():
			}
		}
	})
	b.Cleanup(func() {
		stop()
		running.Wait()
	})
}

// sink speaks as much SMTP as it takes to be handed a mail.
func (h *house) sink(b *testing.B) (address string) {
	b.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go h.take(conn)
		}
	}()
	return l.Addr().String()
}

func (h *house) take(conn net.Conn) {
	defer conn.Close()
	in, say := bufio.NewReader(conn), func(line string) bool { _, err := conn.Write([]byte(line + "\r\n")); return err == nil }
	data := false
	for ok := say("220 ready"); ok; {
		line, err := in.ReadString('\n')
		switch {
		case err != nil:
			return
		case data && line == ".\r\n":
			h.mails.sent.Add(1)
			data, ok = false, say("250 taken")
		case data:
			h.mails.bytes.Add(int64(len(line)))
		case strings.HasPrefix(line, "EHLO"):
			ok = say("250-sink\r\n250 8BITMIME")
		case strings.HasPrefix(line, "DATA"):
			data, ok = true, say("354 go on")
		case strings.HasPrefix(line, "QUIT"):
			say("221 bye")
			return
		default:
			ok = say("250 ok")
		}
	}
}

// posted waits until all mails have left, and says how many there are, how old the
// oldest was when it left, and how many left within their rounds.
func (h *house) posted(b *testing.B) (all int64, oldest time.Duration) {
	b.Helper()
	deadline := time.Now().Add(2 * mailAge)
	for h.number(b, `SELECT count(*) FROM notify.message WHERE state = 'queued'`) > 0 {
		if time.Now().After(deadline) {
			b.Fatal("mails do not leave")
		}
		time.Sleep(100 * time.Millisecond) // between two looks
	}
	all = h.number(b, `SELECT count(*) FROM notify.message WHERE state = 'sent'`)
	oldest = time.Duration(h.number(b, `SELECT coalesce(max(extract(epoch FROM ended_at - created_at) * 1000), 0)::bigint FROM notify.message`)) * time.Millisecond
	if oldest > mailAge {
		b.Errorf("a mail left after %s, later than %s", oldest, mailAge)
	}
	if sent := h.mails.sent.Load(); sent != all {
		b.Errorf("the mail server took %d mails, %d were sent", sent, all)
	}
	return all, oldest
}
