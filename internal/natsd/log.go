package natsd

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// logger writes the server's warnings and errors into ours and remembers a
// fatal one, because an embedded server must not end the process by itself.
type logger struct {
	log      *slog.Logger
	violated func(id uint64, what string)

	mu    sync.Mutex
	fatal string
	said  map[string]time.Time // by text without numbers
}

const (
	sayAgain = 10 * time.Second // who is refused comes back every second
	maxSaid  = 256
)

func newLogger(cfg Config) *logger {
	l := &logger{log: cfg.Log.With(slog.String("part", "nats-server")), said: map[string]time.Time{}}
	if cfg.Leaves != nil {
		l.violated = cfg.Leaves.Violated
	}
	return l
}

func (l *logger) fatalText() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.mu.Lock()
	l.fatal = text
	l.mu.Unlock()
	l.log.Error("nats-server is dead", slog.String("says", text))
}

// violation is how the server says that a leaf sent or asked for what it may not.
// It has no other way to tell; TestLeaf_thatDoesWhatItMayNot… breaks with its words.
var violation = regexp.MustCompile(`lid:(\d+)\b.* - ((?:Publish|Subscription) Violation on .*?)(?: - Check other side configuration)?$`)

func (l *logger) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if l.isNew(text) {
		l.log.Warn("nats-server", slog.String("says", text))
	}
	if l.violated == nil {
		return
	}
	if found := violation.FindStringSubmatch(text); found != nil {
		if id, err := strconv.ParseUint(found[1], 10, 64); err == nil {
			l.violated(id, found[2])
		}
	}
}

// isNew says whether the same, but for the numbers in it, was not said just now.
func (l *logger) isNew(text string) bool {
	key := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now() //nolint:forbidigo // only about how often a line is logged
	if now.Sub(l.said[key]) < sayAgain {
		return false
	}
	if len(l.said) >= maxSaid {
		clear(l.said)
	}
	l.said[key] = now
	return true
}

func (l *logger) Warnf(format string, v ...any) { l.say(slog.LevelWarn, format, v) }

func (l *logger) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }

func (l *logger) say(level slog.Level, format string, v []any) {
	l.log.LogAttrs(context.Background(), level, "nats-server", slog.String("says", fmt.Sprintf(format, v...)))
}

func (l *logger) Debugf(string, ...any) {}
func (l *logger) Tracef(string, ...any) {}
