package catalog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// element is one JSON value of a file with its place, or why there is none.
type element struct {
	line, index int
	value       any // decoded with json.Number
	err         error
}

// elements streams a JSON file whatever its shape: an array, JSON lines, one
// document or several, with or without @graph. A broken line of JSON lines costs
// that line; a break inside a document costs the rest of the file, and that is
// the last element's error.
func elements(ctx context.Context, r *bufio.Reader, yield func(element) error) error {
	lines, err := isLines(&r)
	if err != nil {
		return err
	}
	s := &stream{yield: func(e element) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return yield(e)
	}}
	if lines {
		return s.lines(r)
	}
	s.tape = newTape(r)
	s.dec = json.NewDecoder(s.tape)
	s.dec.UseNumber()
	err = s.documents()
	if given, ok := errors.AsType[*yieldError](err); ok {
		return given.err
	}
	if err != nil {
		s.index++
		at := s.dec.InputOffset()
		if broken, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = max(at, broken.Offset-1)
		}
		return s.yield(element{line: s.tape.at(at), index: s.index, err: restOf(err)})
	}
	return nil
}

// yieldError tells the caller's error from a fault of the file.
type yieldError struct{ err error }

func (e *yieldError) Error() string { return e.err.Error() }

// isLines reports whether the first line is a JSON object by itself and more follows.
func isLines(r **bufio.Reader) (bool, error) {
	big := bufio.NewReaderSize(*r, MaxElement)
	*r = big
	head, err := big.Peek(MaxElement)
	if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
		return false, ErrFile.With("%v", err)
	}
	trimmed := bytes.TrimLeft(head, " \t\r\n")
	end := bytes.IndexByte(trimmed, '\n')
	return len(trimmed) > 0 && trimmed[0] == '{' && end > 0 && json.Valid(trimmed[:end]), nil
}

type stream struct {
	yield func(element) error
	tape  *tape
	dec   *json.Decoder
	index int
}

// lines reads one value a line.
func (s *stream) lines(r *bufio.Reader) error {
	more := true
	for line := 1; more; line++ {
		text, readErr := r.ReadSlice('\n')
		if errors.Is(readErr, bufio.ErrBufferFull) {
			return s.emit(element{line: line, err: restOf(fmt.Errorf("a line is longer than %d bytes", MaxElement))})
		}
		if more = !errors.Is(readErr, io.EOF); more && readErr != nil {
			return s.emit(element{line: line, err: restOf(readErr)})
		}
		if len(bytes.TrimSpace(text)) > 0 {
			v, bad := decodeNumbers(text)
			if err := s.graph(element{line: line, value: v, err: bad}); err != nil {
				return err
			}
		}
	}
	return nil
}

// graph emits a value, or what its @graph holds.
func (s *stream) graph(e element) error {
	if m, ok := e.value.(map[string]any); ok && e.err == nil {
		if g, ok := m["@graph"].([]any); ok {
			for _, v := range g {
				if err := s.emit(element{line: e.line, value: v}); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return s.emit(e)
}

func (s *stream) emit(e element) error {
	s.index++
	e.index = s.index
	return s.yield(e)
}

// documents reads value after value; errors of the caller are yieldErrors.
func (s *stream) documents() error {
	for {
		tok, err := s.dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line := s.tape.at(s.dec.InputOffset())
		switch tok {
		case json.Delim('['):
			err = s.array()
		case json.Delim('{'):
			err = s.object(line)
		default:
			err = s.give(element{line: line, value: tok})
		}
		if err != nil {
			return err
		}
	}
}

func (s *stream) array() error {
	for s.dec.More() {
		var raw json.RawMessage // first, so that the line is where the value starts
		if err := s.dec.Decode(&raw); err != nil {
			return err
		}
		e := element{line: s.tape.at(s.dec.InputOffset() - int64(len(raw)))}
		if e.value, e.err = decodeNumbers(raw); e.err == nil && len(raw) > MaxElement {
			e.err = fmt.Errorf("larger than %d bytes", MaxElement)
		}
		if err := s.give(e); err != nil {
			return err
		}
		s.tape.at(s.dec.InputOffset())
	}
	_, err := s.dec.Token() // the closing bracket
	return err
}

// object streams @graph and keeps the rest, which is the value if there is no graph.
func (s *stream) object(line int) error {
	rest, graph := map[string]any{}, false
	for s.dec.More() {
		key, err := s.dec.Token()
		if err != nil {
			return err
		}
		if key == "@graph" {
			open, err := s.dec.Token()
			if err != nil {
				return err
			}
			if open != json.Delim('[') {
				return errors.New("@graph is not an array")
			}
			graph = true
			if err := s.array(); err != nil {
				return err
			}
			continue
		}
		var v any
		if err := s.dec.Decode(&v); err != nil {
			return err
		}
		name, _ := key.(string) // the decoder gives nothing else for a key
		rest[name] = v
		if !graph && s.dec.InputOffset()-s.tape.mark > MaxElement {
			return fmt.Errorf("an object is larger than %d bytes", MaxElement)
		}
	}
	if _, err := s.dec.Token(); err != nil {
		return err
	}
	if graph {
		return nil
	}
	return s.give(element{line: line, value: rest})
}

func (s *stream) give(e element) error {
	if err := s.emit(e); err != nil {
		return &yieldError{err}
	}
	return nil
}

// decodeNumbers reads one value and keeps its numbers as written.
func decodeNumbers(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not JSON: more than one value")
	}
	return v, nil
}
