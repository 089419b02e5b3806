package natsd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Periods and limits of a tail.
const (
	// LocalAPI is the prefix of the JetStream of the server at hand.
	LocalAPI = "$JS.API"

	tailWait    = 5 * time.Second        // one request for messages waits this long
	tailBeat    = 500 * time.Millisecond // the stream's server shows so often that it lives
	tailSilence = 3 * time.Second        // then it does not live, or the link is cut
	tailKeep    = 30 * time.Second       // the reader's state at the stream outlives the reader by this
	// tailBytes bounds what came and was not read yet, whatever the other side sends.
	tailBytes = 2 * MaxPayload
)

// Faults of a tail.
var (
	ErrGap    = errors.New("a message is missing in between")
	ErrSilent = errors.New("the stream's server is silent")
)

// Entry is a message of a stream.
type Entry struct {
	Seq     uint64 // in the stream
	Subject string
	Header  nats.Header
	Data    []byte
}

// Tail reads a stream in order, here or in another domain. It acknowledges
// nothing and answers nothing: what the other side sends is read and no more.
// A tail that failed is of no use; another one goes on where it stopped.
type Tail struct {
	conn  *nats.Conn
	sub   *nats.Subscription
	more  string // where messages are asked for
	limit int
	owed  int    // messages that were asked for
	seen  uint64 // deliveries
}

// OpenTail reads stream, of the JetStream behind the prefix api, from a sequence
// number on, at most limit messages at a time. Close it.
func OpenTail(ctx context.Context, conn *nats.Conn, api, stream string, from uint64, limit int) (*Tail, error) {
	js, err := jetstream.NewWithAPIPrefix(conn, api)
	if err != nil {
		return nil, err
	}
	// The name is made up at random: nobody else can take its messages away.
	consumer, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
		InactiveThreshold: tailKeep, MemoryStorage: true,
	})
	if err != nil {
		return nil, fmt.Errorf("read %s from %d: %w", stream, from, err)
	}
	sub, err := conn.SubscribeSync(conn.NewInbox())
	if err != nil {
		return nil, err
	}
	t := &Tail{conn: conn, sub: sub, more: api + ".CONSUMER.MSG.NEXT." + stream + "." + consumer.CachedInfo().Name, limit: limit}
	if err := sub.SetPendingLimits(4*limit, tailBytes); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Close ends the reading.
func (t *Tail) Close() { _ = t.sub.Unsubscribe() }

// Next waits for a message and answers it with what else is there already.
func (t *Tail) Next(ctx context.Context) ([]Entry, error) {
	var out []Entry
	for len(out) < t.limit {
		if there, _, err := t.sub.Pending(); err != nil || there == 0 && len(out) > 0 {
			return out, err
		}
		m, err := t.next(ctx)
		if err != nil {
			return nil, err
		}
		if len(m.Data) == 0 && m.Header.Get("Status") != "" {
			if err := t.status(m); err != nil {
				return nil, err
			}
			continue
		}
		e, err := t.entry(m)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// next asks for messages when none are owed, and waits for one or a sign of life.
func (t *Tail) next(ctx context.Context) (*nats.Msg, error) {
	if t.owed <= 0 {
		ask, err := json.Marshal(map[string]any{"batch": t.limit, "expires": tailWait, "idle_heartbeat": tailBeat})
		if err != nil {
			return nil, err
		}
		if err := t.conn.PublishRequest(t.more, t.sub.Subject, ask); err != nil {
			return nil, fmt.Errorf("ask for messages: %w", err)
		}
		t.owed = t.limit
	}
	bounded, cancel := context.WithTimeout(ctx, tailSilence)
	defer cancel()
	m, err := t.sub.NextMsgWithContext(bounded)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, ErrSilent
	case err != nil:
		return nil, fmt.Errorf("wait for messages: %w", err)
	}
	return m, nil
}

// status reads what the server says of the request.
func (t *Tail) status(m *nats.Msg) error {
	code, what := m.Header.Get("Status"), m.Header.Get("Description")
	switch {
	case code == "100": // it lives
	case code == "404", code == "408", code == "409" && strings.Contains(strings.ToLower(what), "batch completed"):
		t.owed = 0
	case code == "503":
		return nats.ErrNoResponders
	default:
		return fmt.Errorf("the stream's server says %.10s %.100s", code, what)
	}
	return nil
}

func (t *Tail) entry(m *nats.Msg) (Entry, error) {
	meta, err := m.Metadata()
	if err != nil {
		return Entry{}, fmt.Errorf("a message of no stream: %w", err)
	}
	t.owed--
	if t.seen++; meta.Sequence.Consumer != t.seen {
		return Entry{}, fmt.Errorf("%w: delivery %d came in place of %d", ErrGap, meta.Sequence.Consumer, t.seen)
	}
	return Entry{Seq: meta.Sequence.Stream, Subject: m.Subject, Header: m.Header, Data: m.Data}, nil
}
