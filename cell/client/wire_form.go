package client

// OrderForm is what an event asks of its buyers, and who sells.
type OrderForm struct {
	Version   int64      `json:"version"` // 0: nothing was ever asked
	Seller    Seller     `json:"seller"`
	Questions []Question `json:"questions"`
	Consents  []Consent  `json:"consents"`
}

// NewOrderForm replaces an event's form.
type NewOrderForm struct {
	Seller    *Seller      `json:"seller,omitempty"` // default: the organizer's name
	Questions []Question   `json:"questions,omitempty"`
	Consents  []NewConsent `json:"consents,omitempty"`
}

// Seller is who sells, as it stands on invoices.
type Seller struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"` // several lines
	TaxID   string `json:"tax_id,omitempty"`
}

// Question is asked before an order is made.
type Question struct {
	ID       string   `json:"id"` // a-z, 0-9 and _
	Label    string   `json:"label"`
	Kind     string   `json:"kind"` // text or choice
	Choices  []string `json:"choices,omitempty"`
	Required bool     `json:"required,omitempty"`
	Per      string   `json:"per"` // order or attendee
}

// NewConsent is a text that buyers are to agree to.
type NewConsent struct {
	ID       string `json:"id"`
	Text     string `json:"text"`
	Required bool   `json:"required,omitempty"`
}

// Consent is a text in its version.
type Consent struct {
	NewConsent
	Version int64 `json:"version"`
}

// Answer answers a question.
type Answer struct {
	QuestionID string `json:"question_id"`
	Value      string `json:"value"`
	Attendee   int    `json:"attendee,omitempty" in:"-"` // answers only: which attendee said it, from 1
}

// Consented is a text that a buyer agreed to, in its version.
type Consented struct {
	ID      string `json:"id"`
	Version int64  `json:"version"`
}
