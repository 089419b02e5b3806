package api_test

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"

	"guichet/cell/client"
)

func TestPapers_areThereForWhatWasPaidAndGivenBack(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	s.ask(t, "PUT "+s.path()+"/order_form", object{"seller": object{"name": "Pleyel SA", "address": "252 rue\nParis", "tax_id": "FR123"}}, s.bearer).want(t, "200")
	o := s.paid(t, s.floor, 2)
	path := "GET /v1/orders/" + o.ID
	first := s.ask(t, path+"/invoice.pdf", nil).want(t, "200")
	if !bytes.HasPrefix(first.body, []byte("%PDF-")) {
		t.Errorf("%.40q", first.body)
	}
	s.ask(t, path+"/credit_notes/1.pdf", nil).want(t, "404 paper_not_found")
	s.ask(t, "POST /v1/orders/"+o.ID+"/refunds", object{"amount": eur(1000), "reason": "late start"}, s.bearer).want(t, "201")
	s.ask(t, path+"/credit_notes/1.pdf", nil).want(t, "200")
	s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil).want(t, "200")
	s.ask(t, path+"/credit_notes/2.pdf", nil).want(t, "200")
	for _, bad := range []string{"3.pdf", "0.pdf", "01.pdf", "-1.pdf", "1", "x.pdf", "99999999999.pdf"} {
		s.ask(t, path+"/credit_notes/"+bad, nil).want(t, "404 paper_not_found")
	}
	if again := s.ask(t, path+"/invoice.pdf", nil).want(t, "200"); !bytes.Equal(again.body, first.body) {
		t.Error("the invoice changed")
	}
	free := s.paid(t, s.guest, 1)
	s.ask(t, "GET /v1/orders/"+free.ID+"/invoice.pdf", nil).want(t, "404 paper_not_found")
	_, stranger := strangers()
	s.ask(t, "GET /v1/orders/"+stranger+"/invoice.pdf", nil).want(t, "404 order_not_found")
}

func TestForm_isAskedAnsweredAndKept(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	form := "GET " + s.path() + "/order_form"
	s.ask(t, form, nil).want(t, "200").looks(t, `{"version":0,"seller":{"name":""},"questions":[],"consents":[]}`)
	put := "PUT " + s.path() + "/order_form"
	asked := object{
		"questions": []object{{"id": "meal", "label": "Meal", "kind": "choice", "choices": []string{"Fish", "Rice"}, "required": true, "per": "attendee"}, {"id": "note", "label": "Note", "kind": "text", "per": "order"}},
		"consents":  []object{{"id": "terms", "text": "You agree.", "required": true}},
	}
	s.ask(t, put, asked).want(t, "401 unauthorized")
	s.ask(t, put, asked, bearer(s.account(t, "Other").APIKey)).want(t, "404 event_not_found")
	s.ask(t, put, object{"questions": []object{{"id": "X", "label": "x", "kind": "text", "per": "order"}}}, s.bearer).want(t, "400 invalid_form /questions/0/id")
	s.ask(t, put, asked, s.bearer).want(t, "200").looks(t, `{"version":1,"seller":{"name":""},"questions":[
		{"id":"meal","label":"Meal","kind":"choice","choices":["Fish","Rice"],"required":true,"per":"attendee"},{"id":"note","label":"Note","kind":"text","per":"order"}],
		"consents":[{"id":"terms","text":"You agree.","required":true,"version":1}]}`)
	hold := s.hold(t, s.guest, 1)
	order := object{"hold_id": hold.ID, "buyer": buyer()}
	const orders = "POST /v1/orders"
	s.ask(t, orders, order).want(t, "422 consent_required /consents")
	order["consents"] = []object{{"id": "terms", "version": 9}}
	s.ask(t, orders, order).want(t, "409 form_changed /consents/0/version")
	order["consents"] = []object{{"id": "terms", "version": 1}}
	s.ask(t, orders, order).want(t, "422 invalid_answer /attendees")
	order["attendees"] = []object{{"name": "Ana", "answers": []object{{"question_id": "meal", "value": "Meat"}}}}
	s.ask(t, orders, order).want(t, "422 invalid_answer /attendees/0/answers/0/value")
	order["attendees"] = []object{{"name": "Ana", "answers": []object{{"question_id": "meal", "value": "Rice", "attendee": 2}}}}
	s.ask(t, orders, order).want(t, "400 unknown_field /attendees/0/answers/0/attendee")
	order["attendees"] = []object{{"name": "Ana", "answers": []object{{"question_id": "meal", "value": "Rice"}}}}
	order["answers"] = []object{{"question_id": "note", "value": "au fond"}}
	o := read[client.Order](t, s.ask(t, orders, order).want(t, "201"))
	got := read[client.Order](t, s.ask(t, "GET /v1/orders/"+o.ID, nil).want(t, "200"))
	if len(got.Answers) != 2 || got.Answers[0] != (client.Answer{QuestionID: "note", Value: "au fond"}) || got.Answers[1] != (client.Answer{QuestionID: "meal", Value: "Rice", Attendee: 1}) ||
		len(got.Consents) != 1 || got.Consents[0] != (client.Consented{ID: "terms", Version: 1}) {
		t.Errorf("%+v %+v", got.Answers, got.Consents)
	}
	// The list of attendees has what was answered, and of a question that is asked no more too.
	line := func() []string {
		t.Helper()
		text := strings.TrimPrefix(string(s.ask(t, "GET "+s.path()+"/attendees.csv", nil, s.bearer).want(t, "200").body), "\uFEFF")
		records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil || len(records) != 2 {
			t.Fatalf("%v: %s", err, text)
		}
		return append(records[0][11:], records[1][11:]...)
	}
	if got := strings.Join(line(), "|"); got != "Meal|Note|other_answers|Rice|au fond|" {
		t.Errorf("the list says %s", got)
	}
	s.ask(t, put, object{"questions": []object{{"id": "note", "label": "=Note()", "kind": "text", "per": "order"}}}, s.bearer).want(t, "200")
	if got := strings.Join(line(), "|"); got != "'=Note()|other_answers|au fond|meal: Rice" {
		t.Errorf("the list says %s", got)
	}
}
