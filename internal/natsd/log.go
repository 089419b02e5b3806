package natsd

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// logger writes the server's warnings and errors into ours and remembers a
// fatal one, because an embedded server must not end the process by itself.
type logger struct {
	log *slog.Logger

	mu    sync.Mutex
	fatal string
}

func newLogger(log *slog.Logger) *logger {
	return &logger{log: log.With(slog.String("part", "nats-server"))}
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

func (l *logger) Errorf(format string, v ...any) { l.say(slog.LevelWarn, format, v) }
func (l *logger) Warnf(format string, v ...any)  { l.say(slog.LevelWarn, format, v) }

func (l *logger) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }

func (l *logger) say(level slog.Level, format string, v []any) {
	l.log.LogAttrs(context.Background(), level, "nats-server", slog.String("says", fmt.Sprintf(format, v...)))
}

func (l *logger) Debugf(string, ...any) {}
func (l *logger) Tracef(string, ...any) {}
