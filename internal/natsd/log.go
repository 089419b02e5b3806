package natsd

import (
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
	l.log.Error(text)
}

func (l *logger) Errorf(format string, v ...any) { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *logger) Warnf(format string, v ...any)  { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *logger) Noticef(format string, v ...any) {
	l.log.Debug(fmt.Sprintf(format, v...))
}
func (l *logger) Debugf(string, ...any) {}
func (l *logger) Tracef(string, ...any) {}
