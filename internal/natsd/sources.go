package natsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Periods of the watchdog over sources. The server tries again by itself, but
// its back-off is 10–120 s; removing and re-adding a source takes 1–2 s and
// makes no duplicates (facts, "NATS").
const (
	watchPeriod  = time.Second
	stalledAfter = 4 * time.Second // heartbeats come every second
	readdPause   = 8 * time.Second // between two attempts on one source, doubling
	maxReadd     = time.Minute     // a starved machine must not spend itself on re-adding
	askLimit     = 2 * time.Second
	apiLimit     = 5 * time.Second
)

// Sources keeps a stream that only gathers from streams of other domains.
type Sources struct {
	conn *nats.Conn
	js   jetstream.JetStream
	base jetstream.StreamConfig
	log  *slog.Logger

	readded atomic.Int64

	mu      sync.Mutex
	stream  string             // the name of the stream gathered from each domain
	domains []string           // as wanted, sorted
	tried   map[string]attempt // by domain, while it is stalled
}

// NewSources is for the stream base, which must have neither subjects nor
// sources; each domain named to Set contributes its stream called stream.
func NewSources(conn *nats.Conn, js jetstream.JetStream, base jetstream.StreamConfig, log *slog.Logger) *Sources {
	return &Sources{conn: conn, js: js, base: base, log: log, tried: map[string]attempt{}}
}

type attempt struct {
	at    time.Time
	pause time.Duration // before the next
}

func apiPrefix(domain string) string { return "$JS." + domain + ".API" }

func (s *Sources) config(stream string, domains []string) jetstream.StreamConfig {
	cfg := s.base
	cfg.Sources = nil
	for _, d := range domains {
		cfg.Sources = append(cfg.Sources, &jetstream.StreamSource{
			Name: stream, External: &jetstream.ExternalStream{APIPrefix: apiPrefix(d)},
		})
	}
	return cfg
}

// Set creates the stream, or changes it to gather from exactly these domains.
func (s *Sources) Set(ctx context.Context, stream string, domains []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, apiLimit)
	defer cancel()
	s.stream, s.domains = stream, slices.Sorted(slices.Values(domains))
	have, err := s.js.Stream(ctx, s.base.Name)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("look up stream %s: %w", s.base.Name, err)
	}
	if err == nil && sameSources(have.CachedInfo().Config, s.domains) {
		return nil
	}
	return s.apply(ctx)
}

func (s *Sources) apply(ctx context.Context) error {
	if _, err := s.js.CreateOrUpdateStream(ctx, s.config(s.stream, s.domains)); err != nil {
		return fmt.Errorf("gather %s from %v: %w", s.base.Name, s.domains, err)
	}
	return nil
}

// repair applies the wanted sources when the stream has others: after a re-add
// that broke in the middle.
func (s *Sources) repair(ctx context.Context, have jetstream.StreamConfig) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream == "" || sameSources(have, s.domains) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, apiLimit)
	defer cancel()
	return s.apply(ctx)
}

func sameSources(cfg jetstream.StreamConfig, want []string) bool {
	return slices.Equal(Domains(cfg), want)
}

func domainOf(e *jetstream.ExternalStream) string {
	if e == nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(e.APIPrefix, "$JS."), ".API")
}

// Watch re-adds stalled sources whose domain can be reached, until ctx ends.
func (s *Sources) Watch(ctx context.Context) {
	tick := time.NewTicker(watchPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := s.check(ctx, now); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "look after sources", slog.String("stream", s.base.Name), slog.Any("error", err))
			}
		}
	}
}

// Readded counts how often a stalled source was re-added.
func (s *Sources) Readded() int64 { return s.readded.Load() }

func (s *Sources) check(ctx context.Context, now time.Time) error {
	info := s.info(ctx)
	if info == nil {
		return nil // not there yet, or the server is on its way
	}
	if err := s.repair(ctx, info.Config); err != nil {
		return err
	}
	sick := stalledOf(info)
	s.forgetHealthy(sick)
	for _, stalled := range sick {
		domain := domainOf(stalled.External)
		s.mu.Lock()
		last := s.tried[domain]
		s.mu.Unlock()
		if now.Sub(last.at) < last.pause || !s.reachable(ctx, domain, stalled.Name) {
			continue
		}
		if err := s.readd(ctx, stalled.Name, domain, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sources) forgetHealthy(sick []*jetstream.StreamSourceInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.tried, func(domain string, _ attempt) bool {
		return !slices.ContainsFunc(sick, func(src *jetstream.StreamSourceInfo) bool { return domainOf(src.External) == domain })
	})
}

func (s *Sources) info(ctx context.Context) *jetstream.StreamInfo {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.base.Name) // answers the newest info
	if err != nil {
		return nil
	}
	return stream.CachedInfo()
}

func stalledOf(info *jetstream.StreamInfo) []*jetstream.StreamSourceInfo {
	return slices.DeleteFunc(slices.Clone(info.Sources), func(src *jetstream.StreamSourceInfo) bool {
		return src.Active >= 0 && src.Active < stalledAfter
	})
}

func (s *Sources) reachable(ctx context.Context, domain, stream string) bool {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	there, err := jetstream.NewWithDomain(s.conn, domain)
	if err != nil {
		return false
	}
	_, err = there.Stream(ctx, stream)
	return err == nil
}

// readd removes one source and adds it again: the stream itself is never deleted
// and knows from its own messages where to go on.
func (s *Sources) readd(ctx context.Context, stream, domain string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, apiLimit)
	defer cancel()
	if !slices.Contains(s.domains, domain) {
		return nil // it left meanwhile
	}
	s.tried[domain] = attempt{now, min(max(2*s.tried[domain].pause, readdPause), maxReadd)}
	without := slices.DeleteFunc(slices.Clone(s.domains), func(d string) bool { return d == domain })
	if _, err := s.js.UpdateStream(ctx, s.config(stream, without)); err != nil {
		return fmt.Errorf("remove the stalled source %s: %w", domain, err)
	}
	if _, err := s.js.UpdateStream(ctx, s.config(stream, s.domains)); err != nil {
		// repair adds it again
		return fmt.Errorf("re-add the source %s: %w", domain, err)
	}
	s.readded.Add(1)
	s.log.InfoContext(ctx, "re-added a stalled source", slog.String("stream", s.base.Name), slog.String("domain", domain))
	return nil
}

// Domains are the domains that a stream gathers from, as configured.
func Domains(cfg jetstream.StreamConfig) []string {
	out := make([]string, 0, len(cfg.Sources))
	for _, src := range cfg.Sources {
		out = append(out, domainOf(src.External))
	}
	slices.Sort(out)
	return out
}
