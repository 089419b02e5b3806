package world

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/geo"
)

// Places where attendees of a drill are.
var (
	Paris   = geo.Point{Lat: 48.8566, Lon: 2.3522}
	NewYork = geo.Point{Lat: 40.7128, Lon: -74.0060}
	Tokyo   = geo.Point{Lat: 35.6762, Lon: 139.6503}
)

// CardVisa is the provider's test card that always pays.
const CardVisa = "pm_card_visa"

// HTTP is what all players share. It follows no redirect and opens no more
// connections to one address than a town on one machine should see.
var HTTP = &http.Client{
	Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 512, MaxConnsPerHost: 1024, IdleConnTimeout: 30 * time.Second,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Attendee is a client of the router who stands at a place.
func (w *World) Attendee(at geo.Point) (*client.Client, error) {
	c, err := w.Credentials()
	if err != nil {
		return nil, err
	}
	return client.New(c.Router, client.WithHTTP(HTTP), client.WithKeyring(Keys), client.WithNear(at.Lat, at.Lon)), nil
}

// Confirm pays an order as the buyer's browser does: Stripe's own client call at
// the sandbox, with the publishable key.
func (w *World) Confirm(ctx context.Context, order client.Order, card string) error {
	c, err := w.Credentials()
	if err != nil {
		return err
	}
	return ConfirmAt(ctx, c.Sandbox, order, card)
}

// ConfirmAt is Confirm at the sandbox with that URL.
func ConfirmAt(ctx context.Context, sandbox string, order client.Order, card string) error {
	if order.Payment == nil {
		return fmt.Errorf("order %s is %s and says not how to pay", order.ID, order.State)
	}
	intent, _, ok := strings.Cut(order.Payment.ClientSecret, "_secret_")
	if !ok {
		return errors.New("the client secret has not Stripe's form")
	}
	form := url.Values{"payment_method": {card}, "client_secret": {order.Payment.ClientSecret}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, sandbox+"/v1/payment_intents/"+intent+"/confirm", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+order.Payment.PublishableKey)
	var answer struct {
		Status string `json:"status"`
	}
	status, err := send(req, &answer)
	if err == nil && (status != http.StatusOK || answer.Status != "succeeded" && answer.Status != "requires_capture") {
		err = fmt.Errorf("the sandbox answers %d, the payment is %q", status, answer.Status)
	}
	return err
}

// Faults are switches of the sandbox; what is not named is off.
type Faults struct {
	LatencyMS                 int  `json:"latency_ms,omitempty"`
	Error500Percent           int  `json:"error_500_percent,omitempty"`
	TimeoutAfterEffectPercent int  `json:"timeout_after_effect_percent,omitempty"`
	WebhookBlackout           bool `json:"webhook_blackout,omitempty"`
	Duplicates                int  `json:"duplicates,omitempty"`
	Reorder                   bool `json:"reorder,omitempty"`
}

// SetFaults replaces the sandbox's switches for the account of one cell.
func (w *World) SetFaults(ctx context.Context, cell string, f Faults) error {
	c, err := w.Credentials()
	if err != nil {
		return err
	}
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Sandbox+"/sandbox/faults?cell="+url.QueryEscape(cell), bytes.NewReader(body))
	if err != nil {
		return err
	}
	status, err := send(req, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the sandbox answers %d", status)
	}
	return err
}

// Metrics is what the process at a URL tells Prometheus.
func Metrics(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := HTTP.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s/metrics answers %d", url, resp.StatusCode)
	}
	return string(raw), err
}

func getJSON(ctx context.Context, target string, v any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return 0, err
	}
	return send(req, v)
}

// send answers the status and decodes the body into v; nil discards it.
func send(req *http.Request, v any) (status int, err error) {
	resp, err := HTTP.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err == nil && v != nil {
		err = json.Unmarshal(raw, v)
	}
	return resp.StatusCode, err
}
