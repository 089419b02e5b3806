// Package catalog reads foreign event formats into client.NewEvent: schema.org
// Event JSON, a documented CSV, calendars of RFC 5545, the Hong Kong LCSD programme and openfootball's
// World Cup files. It streams, tells gzip by content, and reports every row that
// it cannot use with its place and the reason. It sends nothing: the person's
// tool does. What the data leaves out is filled with the named defaults of
// defaults.go, and each such filling is a Note that the summary counts.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/geo"
	"guichet/internal/kind"
)

// Errors of this package.
var (
	ErrFormat = kind.Invalid.New("unknown_format")
	ErrFile   = kind.Invalid.New("unreadable_file")
)

// File is one input. Open may be called more than once.
type File struct {
	Name string // for messages; its last part also tells known sources
	Open func() (io.ReadCloser, error)
}

// Options say what the data does not.
type Options struct {
	Now      time.Time     // events must start after it
	Shift    bool          // move past dates ahead (shift.go)
	Source   client.Source // Name, Licence, Credit; set fields beat the known source's
	TimeZone string        // IANA, of local times whose zone is not in the data
	Currency string        // of prices without one
	Price    string        // of events without one, as a text; "" is the default of the currency
	Encoding string        // of text files, a name of the WHATWG list; "" finds out
	Fallback *geo.Point    // of events without coordinates
}

// Row is one event of the input, or why it cannot be used.
type Row struct {
	File     string
	Line     int             // where its text starts, from 1
	Index    int             // its number in the file, from 1
	SourceID string          // its id at the source, if that was readable
	Key      string          // idempotency key: stable for the same source event
	Event    client.NewEvent // ready to send, published at once
	Notes    []Note          // which defaults were used
	Err      error           // then Event is not to be used
	Torn     bool            // Err is about all that follows in the file: nothing of it was read
}

// Summary counts what Read did.
type Summary struct {
	Rows  int
	Good  int
	Bad   int
	Torn  int // files whose rest could not be read
	Notes map[Note]int
}

// reader is a format: it reads all files and hands each event to take.
type reader func(ctx context.Context, in *input) error

var formats = map[string]struct {
	read  reader
	known string // a known source that applies whatever the file is called
}{
	"schemaorg":    {readSchemaOrg, ""},
	"toronto":      {readSchemaOrg, "toronto"},
	"csv":          {readCSV, ""},
	"ical":         {readICal, ""},
	"hongkong":     {readHongKong, "hongkong"},
	"openfootball": {readOpenfootball, "openfootball"},
}

// Formats are the names that Read accepts, sorted.
func Formats() []string {
	var names []string
	for name := range formats {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Read reads files of one format and calls emit for every row, good or bad, in
// order. An error from emit or the context stops it. Rows that cannot be used
// are not errors; a file that cannot be opened or understood at all is.
func Read(ctx context.Context, format string, files []File, opts Options, emit func(Row) error) (Summary, error) {
	f, ok := formats[format]
	if !ok {
		return Summary{}, ErrFormat.With("%.40q is not one of %s", format, strings.Join(Formats(), ", "))
	}
	if len(files) == 0 {
		return Summary{}, ErrFile.With("no file given")
	}
	in := &input{files: files, opts: opts, known: f.known, emit: emit, seen: map[string]int{}}
	in.sum.Notes = map[Note]int{}
	err := f.read(ctx, in)
	if err != nil {
		err = fmt.Errorf("read %s: %w", format, err)
	}
	return in.sum, err
}

// input is one run of Read.
type input struct {
	files []File
	opts  Options
	known string
	emit  func(Row) error
	seen  map[string]int // idempotency key → number of the row that had it first
	guess *guess         // of the open text file; nil when its encoding is known
	sum   Summary
}

// draft is an event as a format read it, before the rules that are the same for
// all formats: it starts at the first of starts that lies ahead.
type draft struct {
	file   string
	line   int
	index  int
	id     string // at the source
	event  client.NewEvent
	starts []time.Time   // in the event's zone, in order
	end    time.Time     // of the first start; zero: unsaid, or by length
	length time.Duration // 0: unsaid
	onSale time.Time     // zero: unsaid
	notes  []Note
	err    error
}

func (d *draft) note(n Note) {
	if !slices.Contains(d.notes, n) {
		d.notes = append(d.notes, n)
	}
}

// take finishes a draft and emits it.
func (in *input) take(ctx context.Context, d *draft) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if in.sum.Rows == MaxRows {
		return ErrFile.With("more than %d rows", MaxRows)
	}
	in.sum.Rows++
	if in.guess != nil && in.guess.mode == isWindows1252 {
		d.note(NoteEncoding)
	}
	row := in.finish(d)
	if row.Torn {
		in.sum.Torn++
	}
	if row.Err == nil {
		in.sum.Good++
		for _, n := range row.Notes {
			in.sum.Notes[n]++
		}
	} else {
		in.sum.Bad++
	}
	return in.emit(row)
}

func (in *input) finish(d *draft) Row {
	row := Row{File: d.file, Line: d.line, Index: d.index, SourceID: d.id, Torn: errors.Is(d.err, errRest)}
	fail := func(err error) Row {
		row.Err = err
		return row
	}
	if d.err != nil {
		return fail(d.err)
	}
	in.credit(d)
	chosen, err := d.schedule(in.opts)
	if err != nil {
		return fail(err)
	}
	if err := d.tidy(); err != nil {
		return fail(err)
	}
	row.Key = idempotencyKey(d.event.Source.Name, d.id, chosen)
	if first, ok := in.seen[row.Key]; ok {
		return fail(fmt.Errorf("the same event as row %d", first))
	}
	in.seen[row.Key] = in.sum.Rows
	d.event.Publish = true
	row.Event, row.Notes = d.event, d.notes
	return row
}
