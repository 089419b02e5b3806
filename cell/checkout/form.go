package checkout

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"guichet/cell/id"
	"guichet/cell/legible"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// What can be said about forms.
var (
	ErrInvalidForm = kind.Invalid.New("invalid_form")
	ErrFormChanged = kind.Conflict.New("form_changed")
	ErrAnswer      = kind.Unprocessable.New("invalid_answer")
	ErrConsent     = kind.Unprocessable.New("consent_required")
)

// Limits of a form.
const (
	MaxQuestions   = 50
	MaxChoices     = 100
	MaxConsents    = 10
	maxLabel       = 300    // characters of a question or a choice
	maxAnswer      = 2000   // characters
	maxConsentText = 20_000 // characters
	maxSellerText  = 500    // characters of an address
)

// QuestionKind is how a question is answered.
type QuestionKind string

// The kinds of questions.
const (
	TextQuestion   QuestionKind = "text"
	ChoiceQuestion QuestionKind = "choice"
)

// Asked is who answers a question.
type Asked string

// Who answers.
const (
	PerOrder    Asked = "order"
	PerAttendee Asked = "attendee"
)

// Question is asked before an order is made.
type Question struct {
	ID       string       `json:"id"` // lower case, digits and _, unique in the form
	Label    string       `json:"label"`
	Kind     QuestionKind `json:"kind"`
	Choices  []string     `json:"choices,omitempty"`
	Required bool         `json:"required,omitempty"`
	Per      Asked        `json:"per"`
}

// Consent is a text that a buyer agrees to. Its version is the form's when the text
// came in, so that no two texts ever share one, whatever comes and goes.
type Consent struct {
	ID       string `json:"id"`
	Text     string `json:"text"`
	Version  int64  `json:"version"`
	Required bool   `json:"required,omitempty"`
}

// Form is what an event asks of its buyers, and who sells.
type Form struct {
	Version   int64 // 0: none was ever set
	Seller    Seller
	Questions []Question
	Consents  []Consent
}

// Answer is a buyer's or an attendee's.
type Answer struct {
	Question string `json:"question_id"`
	Value    string `json:"value"`
	Attendee int    `json:"attendee,omitempty"` // from 1; 0 for the order
}

// Consented is a text that was agreed to, in its version.
type Consented struct {
	ID      string `json:"id"`
	Version int64  `json:"version"`
}

// Replies are what a buyer answered and agreed to.
type Replies struct {
	Answers  []Answer
	Consents []Consented

	everyone bool // every ticket needs an attendee who answers
}

// None reports whether nothing was said.
func (r *Replies) None() bool { return len(r.Answers)+len(r.Consents) == 0 }

// Succeed makes f the form after before: its version grows, and every consent whose
// text is new has it. Errors point at the JSON field.
func (f *Form) Succeed(before Form) error {
	if err := f.check(); err != nil {
		return err
	}
	f.Version = before.Version + 1
	for i := range f.Consents {
		c := &f.Consents[i]
		c.Version = f.Version
		if at := slices.IndexFunc(before.Consents, func(b Consent) bool { return b.ID == c.ID && b.Text == c.Text }); at >= 0 {
			c.Version = before.Consents[at].Version
		}
	}
	return nil
}

// SetForm replaces an event's form by f, which becomes its next version.
func (s *Service) SetForm(ctx context.Context, tx txn.Tx, event id.Event, f *Form) error {
	return s.OnEvent(ctx, tx, event, func(ctx context.Context, tx txn.Tx) error {
		before, err := s.Store.Form(ctx, tx, event)
		if err != nil {
			return fmt.Errorf("read form: %w", err)
		}
		if err := f.Succeed(before); err != nil {
			return err
		}
		if err := s.Store.SetForm(ctx, tx, event, *f); err != nil {
			return fmt.Errorf("store form: %w", err)
		}
		return nil
	})
}

func (f *Form) check() error {
	if len(f.Questions) > MaxQuestions {
		return ErrInvalidForm.At("/questions", "must be at most %d", MaxQuestions)
	}
	if len(f.Consents) > MaxConsents {
		return ErrInvalidForm.At("/consents", "must be at most %d", MaxConsents)
	}
	for _, s := range []struct {
		at, text string
		most     int
	}{{"/seller/name", f.Seller.Name, maxText}, {"/seller/address", f.Seller.Address, maxSellerText}, {"/seller/tax_id", f.Seller.TaxID, maxText}} {
		if !writable(s.text, 0, s.most) {
			return ErrInvalidForm.At(s.at, "must be at most %d characters without control characters", s.most)
		}
	}
	seen := map[string]bool{}
	for i := range f.Questions {
		if err := f.Questions[i].check("/questions/"+strconv.Itoa(i), seen); err != nil {
			return err
		}
	}
	for i, c := range f.Consents {
		at := "/consents/" + strconv.Itoa(i)
		switch {
		case !isName(c.ID) || seen["consent "+c.ID]:
			return ErrInvalidForm.At(at+"/id", "must be 1 to 40 of a-z, 0-9 and _, and unique")
		case !writable(c.Text, 1, maxConsentText):
			return ErrInvalidForm.At(at+"/text", "must have 1 to %d characters", maxConsentText)
		}
		seen["consent "+c.ID] = true
	}
	return nil
}

func (q *Question) check(at string, seen map[string]bool) error {
	switch {
	case !isName(q.ID) || seen[q.ID]:
		return ErrInvalidForm.At(at+"/id", "must be 1 to 40 of a-z, 0-9 and _, and unique")
	case !writable(q.Label, 1, maxLabel):
		return ErrInvalidForm.At(at+"/label", "must have 1 to %d characters", maxLabel)
	case q.Kind != TextQuestion && q.Kind != ChoiceQuestion:
		return ErrInvalidForm.At(at+"/kind", "must be text or choice")
	case q.Per != PerOrder && q.Per != PerAttendee:
		return ErrInvalidForm.At(at+"/per", "must be order or attendee")
	case q.Kind == TextQuestion && len(q.Choices) > 0:
		return ErrInvalidForm.At(at+"/choices", "belong to a choice")
	case q.Kind == ChoiceQuestion && (len(q.Choices) < 2 || len(q.Choices) > MaxChoices):
		return ErrInvalidForm.At(at+"/choices", "must be 2 to %d", MaxChoices)
	}
	for i, c := range q.Choices {
		if !writable(c, 1, maxLabel) || slices.Index(q.Choices, c) != i {
			return ErrInvalidForm.At(at+"/choices/"+strconv.Itoa(i), "must have 1 to %d characters and be there once", maxLabel)
		}
	}
	seen[q.ID] = true
	return nil
}

// isName is 1 to 40 of a-z, 0-9 and _.
func isName(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// writable is UTF-8 of least to most characters, with line breaks and nothing else
// that nobody sees, and not of spaces alone when something must be said.
func writable(s string, least, most int) bool {
	n := utf8.RuneCountInString(s)
	return utf8.ValidString(s) && n >= least && n <= most && (least == 0 || strings.TrimSpace(s) != "") &&
		!strings.ContainsAny(s, "\r\t") && legible.Check(s, true) == nil
}
