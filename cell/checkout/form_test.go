package checkout_test

import (
	"errors"
	"strings"
	"testing"

	"guichet/cell/checkout"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

func form() checkout.Form {
	return checkout.Form{
		Seller: checkout.Seller{Name: "Pleyel SA", Address: "252 rue du Faubourg\n75008 Paris", TaxID: "FR1"},
		Questions: []checkout.Question{
			{ID: "source", Label: "How did you hear of us?", Kind: checkout.TextQuestion, Per: checkout.PerOrder},
			{ID: "meal", Label: "Meal", Kind: checkout.ChoiceQuestion, Choices: []string{"Fish", "野菜"}, Required: true, Per: checkout.PerAttendee},
		},
		Consents: []checkout.Consent{{ID: "terms", Text: "You agree.", Required: true}, {ID: "news", Text: "Mails, please."}},
	}
}

func pointer(t *testing.T, err error) string {
	t.Helper()
	e := kind.As(err)
	if e == nil {
		t.Fatalf("no problem: %v", err)
	}
	faults, _ := e.Fields["errors"].([]kind.Fault)
	if len(faults) != 1 {
		t.Fatalf("no pointer: %v", err)
	}
	return e.Code + " " + faults[0].Pointer
}

func TestForm_refusesWhatNobodyCouldAnswer(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(f *checkout.Form){
		"invalid_form /questions/0/id":        func(f *checkout.Form) { f.Questions[0].ID = "Über" },
		"invalid_form /questions/1/id":        func(f *checkout.Form) { f.Questions[1].ID = "source" },
		"invalid_form /questions/0/label":     func(f *checkout.Form) { f.Questions[0].Label = " " },
		"invalid_form /questions/0/kind":      func(f *checkout.Form) { f.Questions[0].Kind = "date" },
		"invalid_form /questions/0/per":       func(f *checkout.Form) { f.Questions[0].Per = "" },
		"invalid_form /questions/0/choices":   func(f *checkout.Form) { f.Questions[0].Choices = []string{"a", "b"} },
		"invalid_form /questions/1/choices":   func(f *checkout.Form) { f.Questions[1].Choices = []string{"a"} },
		"invalid_form /questions/1/choices/1": func(f *checkout.Form) { f.Questions[1].Choices = []string{"a", "a"} },
		"invalid_form /consents/1/id":         func(f *checkout.Form) { f.Consents[1].ID = "terms" },
		"invalid_form /consents/0/text":       func(f *checkout.Form) { f.Consents[0].Text = strings.Repeat("x", 20_001) },
		"invalid_form /seller/address":        func(f *checkout.Form) { f.Seller.Address = "a\tb" },
		"invalid_form /questions":             func(f *checkout.Form) { f.Questions = make([]checkout.Question, checkout.MaxQuestions+1) },
		"invalid_form /consents":              func(f *checkout.Form) { f.Consents = make([]checkout.Consent, checkout.MaxConsents+1) },
	} {
		f := form()
		spoil(&f)
		if got := pointer(t, f.Succeed(checkout.Form{})); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestForm_aTextNeverSharesItsVersionWithAnother(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	var before checkout.Form
	for _, texts := range [][]string{{"a", "b"}, {"a", "c"}, {"a"}, {"a", "b"}, {"d", "b"}} {
		f := checkout.Form{}
		for i, text := range texts {
			f.Consents = append(f.Consents, checkout.Consent{ID: string(rune('p' + i)), Text: text})
		}
		if err := f.Succeed(before); err != nil {
			t.Fatal(err)
		}
		if f.Version != before.Version+1 {
			t.Errorf("version %d after %d", f.Version, before.Version)
		}
		for _, c := range f.Consents {
			key := c.ID + string(rune('0'+c.Version))
			if old, there := seen[key]; there && old != c.Text {
				t.Errorf("%s is %q and %q", key, old, c.Text)
			}
			seen[key] = c.Text
		}
		before = f
	}
	if before.Consents[1].Version != 4 {
		t.Errorf("a text that stayed has a new version: %+v", before.Consents)
	}
}

func TestForm_holdsAnswersToItsQuestions(t *testing.T) {
	t.Parallel()
	f := form()
	if err := f.Succeed(checkout.Form{}); err != nil {
		t.Fatal(err)
	}
	good := func() checkout.Request {
		return checkout.Request{
			Answers:   []checkout.Answer{{Question: "source", Value: "a friend"}},
			Attendees: []checkout.Attendee{{Name: "A", Answers: []checkout.Answer{{Question: "meal", Value: "Fish"}}}, {Name: "B", Answers: []checkout.Answer{{Question: "meal", Value: "野菜"}}}},
			Consents:  []checkout.Consented{{ID: "terms", Version: 1}},
		}
	}
	got, err := f.Hear(good())
	if err != nil || len(got.Answers) != 3 || got.Answers[2] != (checkout.Answer{Question: "meal", Value: "野菜", Attendee: 2}) || len(got.Consents) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	for want, spoil := range map[string]func(r *checkout.Request){
		"invalid_order /answers/0/question_id":             func(r *checkout.Request) { r.Answers[0].Question = "meal" },
		"invalid_order /answers/1/question_id":             func(r *checkout.Request) { r.Answers = append(r.Answers, r.Answers[0]) },
		"invalid_answer /answers/0/value":                  func(r *checkout.Request) { r.Answers[0].Value = "" },
		"invalid_answer /attendees/1/answers/0/value":      func(r *checkout.Request) { r.Attendees[1].Answers[0].Value = "Meat" },
		"invalid_answer /attendees/0/answers":              func(r *checkout.Request) { r.Attendees[0].Answers = nil },
		"invalid_order /attendees/0/answers/0/question_id": func(r *checkout.Request) { r.Attendees[0].Answers[0].Question = "source" },
		"consent_required /consents":                       func(r *checkout.Request) { r.Consents = nil },
		"form_changed /consents/0/version":                 func(r *checkout.Request) { r.Consents[0].Version = 2 },
		"invalid_order /consents/1/id":                     func(r *checkout.Request) { r.Consents = append(r.Consents, checkout.Consented{ID: "x", Version: 1}) },
		"invalid_order /consents":                          func(r *checkout.Request) { r.Consents = make([]checkout.Consented, 11) },
		"invalid_order /answers":                           func(r *checkout.Request) { r.Answers = make([]checkout.Answer, 51) },
	} {
		r := good()
		spoil(&r)
		if _, err := f.Hear(r); err == nil || pointer(t, err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	var nothing checkout.Form
	if got, err := nothing.Hear(checkout.Request{Attendees: []checkout.Attendee{{Name: "A"}}}); err != nil || !got.None() {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCreate_storesAnswersWithTheOrderAndAsksEveryAttendee(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	f := form()
	if err := tw.desks[0].SetForm(t.Context(), txn.None, tw.shop.ID, &f); err != nil {
		t.Fatal(err)
	}
	stale := form()
	stale.Version = f.Version
	if err := tw.stores[1].SetForm(t.Context(), txn.None, tw.shop.ID, stale); !errors.Is(err, checkout.ErrFormChanged) {
		t.Errorf("the same version again: %v", err)
	}
	h := tw.hold(t, tw.free, 2)
	meal := []checkout.Answer{{Question: "meal", Value: "Fish"}}
	r := checkout.Request{Hold: h.ID, Buyer: buyer, Attendees: []checkout.Attendee{{Name: "A", Answers: meal}}, Consents: []checkout.Consented{{ID: "terms", Version: 1}}}
	if _, err := tw.desks[0].Create(t.Context(), txn.None, r); err == nil || pointer(t, err) != "invalid_answer /attendees" {
		t.Fatalf("one of two attendees answered: %v", err)
	}
	r.Attendees = append(r.Attendees, checkout.Attendee{Name: "B", Answers: meal})
	o, err := tw.desks[0].Create(t.Context(), txn.None, r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tw.stores[1].Replies(t.Context(), o.ID)
	if err != nil || len(got.Answers) != 2 || got.Answers[1].Attendee != 2 || len(got.Consents) != 1 || got.Consents[0] != r.Consents[0] {
		t.Errorf("%+v, %v", got, err)
	}
}
