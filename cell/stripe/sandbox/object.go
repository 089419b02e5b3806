package sandbox

import (
	"crypto/rand"
	"encoding/json"
)

// apiVersion is the version of Stripe's API whose shapes are spoken: the one
// that stripe-go v76 sends.
const apiVersion = "2023-10-16"

// null is a member that Stripe has and the sandbox never fills.
type null *struct{}

// neverInIntent are members of a payment intent for features that are not here.
type neverInIntent struct {
	Application         null `json:"application"`
	Customer            null `json:"customer"`
	MethodConfiguration null `json:"payment_method_configuration_details"`
	Processing          null `json:"processing"`
	Review              null `json:"review"`
	SetupFutureUsage    null `json:"setup_future_usage"`
	Shipping            null `json:"shipping"`
	StatementDescriptor null `json:"statement_descriptor"`
	StatementSuffix     null `json:"statement_descriptor_suffix"`
	TransferGroup       null `json:"transfer_group"`
}

// paymentIntent has Stripe's shape.
type paymentIntent struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	Amount             int64             `json:"amount"`
	AmountCapturable   int64             `json:"amount_capturable"`
	AmountDetails      amountDetails     `json:"amount_details"`
	AmountReceived     int64             `json:"amount_received"`
	ApplicationFee     *int64            `json:"application_fee_amount"`
	AutomaticMethods   *automaticMethods `json:"automatic_payment_methods"`
	CanceledAt         *int64            `json:"canceled_at"`
	CancellationReason *string           `json:"cancellation_reason"`
	CaptureMethod      string            `json:"capture_method"`
	ClientSecret       string            `json:"client_secret"`
	ConfirmationMethod string            `json:"confirmation_method"`
	Created            int64             `json:"created"`
	Currency           string            `json:"currency"`
	Description        *string           `json:"description"`
	LastPaymentError   *errorBody        `json:"last_payment_error"`
	LatestCharge       *string           `json:"latest_charge"`
	Livemode           bool              `json:"livemode"`
	Metadata           map[string]string `json:"metadata"`
	NextAction         *nextAction       `json:"next_action"`
	OnBehalfOf         *string           `json:"on_behalf_of"`
	PaymentMethod      *string           `json:"payment_method"`
	MethodOptions      methodOptions     `json:"payment_method_options"`
	MethodTypes        []string          `json:"payment_method_types"`
	ReceiptEmail       *string           `json:"receipt_email"`
	Status             string            `json:"status"`
	TransferData       *transferData     `json:"transfer_data"`
	neverInIntent
}

// The states of a payment intent, as Stripe names them.
const (
	needsMethod       = "requires_payment_method"
	needsConfirmation = "requires_confirmation"
	needsAction       = "requires_action"
	needsCapture      = "requires_capture"
	processing        = "processing"
	succeeded         = "succeeded"
	canceled          = "canceled"
)

// intent is a payment intent and what Stripe does not show of it.
type intent struct {
	paymentIntent
	Card   string `json:"sandbox_card,omitempty"`   // token of the test card to be charged
	Ticket string `json:"sandbox_ticket,omitempty"` // opens the authentication page
	Due    int64  `json:"sandbox_due,omitempty"`    // when the bank decides, in Unix milliseconds
}

type amountDetails struct {
	Tip struct{} `json:"tip"`
}

type automaticMethods struct {
	Enabled        bool   `json:"enabled"`
	AllowRedirects string `json:"allow_redirects"`
}

type methodOptions struct {
	Card       *cardOptions       `json:"card,omitempty"`
	Bancontact *bancontactOptions `json:"bancontact,omitempty"`
	IDEAL      *struct{}          `json:"ideal,omitempty"`
	SEPADebit  *struct{}          `json:"sepa_debit,omitempty"`
}

type cardOptions struct {
	CaptureMethod       string `json:"capture_method,omitempty"`
	Installments        null   `json:"installments"`
	MandateOptions      null   `json:"mandate_options"`
	Network             null   `json:"network"`
	RequestThreeDSecure string `json:"request_three_d_secure"`
}

type bancontactOptions struct {
	PreferredLanguage string `json:"preferred_language"`
}

// transferData says whose account the payment is handed on to.
type transferData struct {
	Destination string `json:"destination"`
}

type nextAction struct {
	Type     string   `json:"type"`
	Redirect redirect `json:"redirect_to_url"`
}

type redirect struct {
	ReturnURL *string `json:"return_url"`
	URL       string  `json:"url"`
}

// errorBody is an error as Stripe answers it and keeps it in last_payment_error.
type errorBody struct {
	Charge        string         `json:"charge,omitempty"`
	Code          string         `json:"code,omitempty"`
	DeclineCode   string         `json:"decline_code,omitempty"`
	DocURL        string         `json:"doc_url,omitempty"`
	Message       string         `json:"message"`
	Param         string         `json:"param,omitempty"`
	PaymentIntent any            `json:"payment_intent,omitempty"`
	PaymentMethod *paymentMethod `json:"payment_method,omitempty"`
	Type          string         `json:"type"`
}

type address struct {
	City       null `json:"city"`
	Country    null `json:"country"`
	Line1      null `json:"line1"`
	Line2      null `json:"line2"`
	PostalCode null `json:"postal_code"`
	State      null `json:"state"`
}

type billing struct {
	Address address `json:"address"`
	Email   *string `json:"email"`
	Name    null    `json:"name"`
	Phone   null    `json:"phone"`
}

type paymentMethod struct {
	ID       string            `json:"id"`
	Object   string            `json:"object"`
	Billing  billing           `json:"billing_details"`
	Created  int64             `json:"created"`
	Customer null              `json:"customer"`
	Livemode bool              `json:"livemode"`
	Metadata map[string]string `json:"metadata"`
	Type     string            `json:"type"`
	byType
}

// byType has one member, named after the type of the method.
type byType struct {
	Card       *cardDetails `json:"card,omitempty"`
	Bancontact *struct{}    `json:"bancontact,omitempty"`
	IDEAL      *struct{}    `json:"ideal,omitempty"`
	SEPADebit  *sepaDetails `json:"sepa_debit,omitempty"`
}

type sepaDetails struct {
	BankCode    null   `json:"bank_code"`
	BranchCode  null   `json:"branch_code"`
	Country     string `json:"country"`
	Fingerprint null   `json:"fingerprint"`
	Last4       string `json:"last4"`
}

type cardDetails struct {
	Brand    string `json:"brand"`
	Country  string `json:"country"`
	ExpMonth int    `json:"exp_month"`
	ExpYear  int    `json:"exp_year"`
	Funding  string `json:"funding"`
	Last4    string `json:"last4"`
	Wallet   null   `json:"wallet"`
}

// charge has Stripe's shape: one attempt to take money.
type charge struct {
	ID              string            `json:"id"`
	Object          string            `json:"object"`
	Amount          int64             `json:"amount"`
	AmountCaptured  int64             `json:"amount_captured"`
	AmountRefunded  int64             `json:"amount_refunded"`
	FeeID           *string           `json:"application_fee"`
	FeeAmount       *int64            `json:"application_fee_amount"`
	Billing         billing           `json:"billing_details"`
	Captured        bool              `json:"captured"`
	Created         int64             `json:"created"`
	Currency        string            `json:"currency"`
	Customer        null              `json:"customer"`
	Description     *string           `json:"description"`
	Disputed        bool              `json:"disputed"`
	FailureCode     *string           `json:"failure_code"`
	FailureMessage  *string           `json:"failure_message"`
	FraudDetails    struct{}          `json:"fraud_details"`
	Livemode        bool              `json:"livemode"`
	Metadata        map[string]string `json:"metadata"`
	OnBehalfOf      *string           `json:"on_behalf_of"`
	Outcome         *outcomeBody      `json:"outcome"`
	Paid            bool              `json:"paid"`
	PaymentIntent   string            `json:"payment_intent"`
	PaymentMethod   string            `json:"payment_method"`
	Details         methodDetails     `json:"payment_method_details"`
	ReceiptEmail    *string           `json:"receipt_email"`
	ReceiptNumber   null              `json:"receipt_number"`
	ReceiptURL      null              `json:"receipt_url"`
	Refunded        bool              `json:"refunded"`
	Status          string            `json:"status"`
	Transfer        string            `json:"transfer,omitempty"`
	TransferData    *transferData     `json:"transfer_data"`
	TransferGroup   null              `json:"transfer_group"`
	BalanceTransfer *string           `json:"balance_transaction"`
}

type outcomeBody struct {
	NetworkStatus string  `json:"network_status"`
	Reason        *string `json:"reason"`
	RiskLevel     string  `json:"risk_level"`
	SellerMessage string  `json:"seller_message"`
	Type          string  `json:"type"`
}

type methodDetails struct {
	Type string `json:"type"`
	byType
}

// refund has Stripe's shape.
type refund struct {
	ID              string            `json:"id"`
	Object          string            `json:"object"`
	Amount          int64             `json:"amount"`
	BalanceTransfer null              `json:"balance_transaction"`
	Charge          string            `json:"charge"`
	Created         int64             `json:"created"`
	Currency        string            `json:"currency"`
	Destination     destination       `json:"destination_details"`
	FailureReason   *string           `json:"failure_reason,omitempty"`
	Metadata        map[string]string `json:"metadata"`
	PaymentIntent   string            `json:"payment_intent"`
	Reason          *string           `json:"reason"`
	ReceiptNumber   null              `json:"receipt_number"`
	SourceReversal  null              `json:"source_transfer_reversal"`
	Status          string            `json:"status"`
	Reversal        *string           `json:"transfer_reversal"`
}

type destination struct {
	Card *struct {
		Type string `json:"type"`
	} `json:"card,omitempty"`
	Bancontact *struct{} `json:"bancontact,omitempty"`
	IDEAL      *struct{} `json:"ideal,omitempty"`
	SEPADebit  *struct{} `json:"sepa_debit,omitempty"`
	Type       string    `json:"type"`
}

// event has Stripe's shape.
type event struct {
	ID              string       `json:"id"`
	Object          string       `json:"object"`
	APIVersion      string       `json:"api_version"`
	Created         int64        `json:"created"`
	Data            eventData    `json:"data"`
	Livemode        bool         `json:"livemode"`
	PendingWebhooks int          `json:"pending_webhooks"`
	Request         eventRequest `json:"request"`
	Type            string       `json:"type"`
}

type eventData struct {
	Object   json.RawMessage `json:"object"`
	Previous map[string]any  `json:"previous_attributes,omitempty"`
}

type eventRequest struct {
	ID             *string `json:"id"`
	IdempotencyKey *string `json:"idempotency_key"`
}

// list has Stripe's shape.
type list struct {
	Object  string `json:"object"`
	Data    []any  `json:"data"`
	HasMore bool   `json:"has_more"`
	URL     string `json:"url"`
}

const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// random gives n letters, for ids and secrets.
func random(n int) string {
	out := make([]byte, 0, n)
	buf := make([]byte, 2*n)
	for len(out) < n {
		_, _ = rand.Read(buf) // never fails since Go 1.24
		for _, b := range buf {
			if b < 4*62 && len(out) < n { // no letter is likelier than another
				out = append(out, letters[b%62])
			}
		}
	}
	return string(out)
}

func newID(prefix string) string { return prefix + "_3" + random(23) }

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
