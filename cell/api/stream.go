package api

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// pieceLimit is how long a long answer may stand still: for one read of the database,
// and for the client to take what was written. All of it may take as long as it takes.
const pieceLimit = 30 * time.Second

// stream is a long answer that is written while it is read. It is whole, or the
// connection is torn: the transfer ends in an error that every client notices, and the
// reason is in the log.
type stream struct {
	c    *gin.Context
	what string
	out  *bufio.Writer
	conn *http.ResponseController
	err  error // of the first write that failed
}

// streaming begins a long answer, whose headers are set.
func streaming(c *gin.Context, what string) *stream {
	return &stream{c: c, what: what, out: bufio.NewWriterSize(c.Writer, 32<<10), conn: http.NewResponseController(c.Writer)}
}

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) {
	n, err := s.out.Write(p)
	if s.err == nil {
		s.err = err
	}
	return n, err
}

// reading is a context for one read. It has the request's values, and neither its
// deadline nor its end: who has left is noticed when he is written to.
func (s *stream) reading() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(s.c.Request.Context()), pieceLimit)
}

// send lets the client have what was written so far.
func (s *stream) send() {
	_ = s.conn.SetWriteDeadline(time.Now().Add(pieceLimit)) //nolint:forbidigo // a socket's deadline is wall time
	err := s.out.Flush()
	if err == nil {
		err = s.conn.Flush()
	}
	if err != nil {
		s.tear(err)
	}
}

// end sends the rest. err is why the answer cannot be whole, nil when it is.
func (s *stream) end(err error) {
	if err == nil {
		err = s.err
	}
	if err != nil {
		s.tear(err)
	}
	s.send()
}

// tear breaks the connection: the answer has begun, so nothing else can tell that its
// end is missing.
func (s *stream) tear(err error) {
	slog.ErrorContext(s.c.Request.Context(), "an answer broke off", slog.String("what", s.what), slog.String("path", s.c.Request.URL.Path), slog.Any("error", err))
	panic(http.ErrAbortHandler)
}
