package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"guichet/cell/client"
)

const maxSandboxAnswer = 1 << 20

// pay does what the buyer's browser does: it confirms the payment intent at the
// provider with the publishable key, and then watches the order.
func (p *play) pay(ctx context.Context, order client.Order) (client.Order, error) {
	if order.State == "paid" {
		return order, nil // a free order asks nobody for money
	}
	if order.Payment == nil {
		return order, fmt.Errorf("order %s is %s and says not how to pay", order.Code, order.State)
	}
	if p.sandbox == "" {
		return order, errors.New("where is the payment sandbox? (--sandbox)")
	}
	status, took, err := confirm(ctx, p.sandbox, p.card, *order.Payment)
	if err != nil {
		return order, err
	}
	p.say("pay", client.Meta{Cell: "bank", Elapsed: took}, "%s says %s", order.Payment.Provider, status)
	return p.untilPaid(ctx, order.ID)
}

// confirm is Stripe's own client call (POST /v1/payment_intents/{id}/confirm).
func confirm(ctx context.Context, base, card string, h client.PaymentHandle) (status string, took time.Duration, err error) {
	intent, _, ok := strings.Cut(h.ClientSecret, "_secret_")
	if !ok {
		return "", 0, errors.New("the client secret has not Stripe's form")
	}
	form := url.Values{"payment_method": {card}, "client_secret": {h.ClientSecret}}
	target := strings.TrimRight(base, "/") + "/v1/payment_intents/" + url.PathEscape(intent) + "/confirm"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode())) //nolint:gosec // the person says where the sandbox is
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+h.PublishableKey)
	start := time.Now()
	resp, err := (&http.Client{Timeout: payLimit}).Do(req) //nolint:gosec // as above
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSandboxAnswer))
	if err != nil {
		return "", 0, err
	}
	var answer struct {
		Status string `json:"status"`
		Error  *struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", 0, fmt.Errorf("%s: %.200q is not JSON", resp.Status, text)
	}
	if answer.Error != nil {
		return "", 0, fmt.Errorf("%s: %s (%s)", resp.Status, answer.Error.Message, answer.Error.Code)
	}
	if answer.Status == "requires_action" {
		return "", 0, fmt.Errorf("the card %s wants the buyer's consent in a browser, which this demo has not", card)
	}
	return answer.Status, time.Since(start), nil
}

// untilPaid polls the order until it is paid, or can never be.
func (p *play) untilPaid(ctx context.Context, orderID string) (client.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, payLimit)
	defer cancel()
	start := time.Now()
	tick := time.NewTicker(payPoll)
	defer tick.Stop()
	for polls := 1; ; polls++ {
		order, m, err := p.client.GetOrder(ctx, orderID)
		switch {
		case err != nil && !client.Retryable(err):
			return order, err
		case err == nil && order.State == "paid":
			m.Elapsed = time.Since(start)
			p.say("paid", m, "%s after asking %d times", order.State, polls)
			return order, nil
		case err == nil && order.State != "pending":
			return order, fmt.Errorf("the order is %s, its payment %s", order.State, order.PaymentState)
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return order, fmt.Errorf("no paid order within %s: %w", payLimit, err)
			}
			return order, fmt.Errorf("no paid order within %s: it is still %s, its payment %s", payLimit, order.State, order.PaymentState)
		case <-tick.C:
		}
	}
}
