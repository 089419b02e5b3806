package load

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"guichet/cell/client"
)

const (
	judgeWithin  = 75 * time.Second // all checks after a drill
	booksWithin  = 60 * time.Second // P4
	judgePatient = 10 * time.Second // one question, after everything is back
	shown        = 5                // pieces of evidence of one kind
)

// Verdict is what became of a promise.
type Verdict struct {
	Promise  string   `json:"promise"`
	Says     string   `json:"says"`   // the promise, for a reader
	Result   string   `json:"result"` // kept, broken, unseen
	Evidence []string `json:"evidence"`
}

// Results of a check.
const (
	Kept   = "kept"
	Broken = "broken"
	Unseen = "unseen" // nothing happened that could have broken it, or nobody checks it here
)

var says = map[string]string{
	"P1": "One home: only one cell decides about an event.",
	"P2": "No oversell: never more tickets held and sold than there are.",
	"P3": "Kept: every hold and order that was acknowledged is still there.",
	"P4": "Books balance: who was charged has tickets, or the money back, within a minute.",
	"P5": "Once: asking again with the same key gives the same answer and no second hold.",
	"P6": "Local: no decision about tickets waits for the control plane, the hub or another cell.",
	"P7": "Blast radius: what is not broken goes on without a single error.",
	"P8": "Static stability: without control plane and hub everything that worked keeps working.",
	"P9": "Honest: no false \"sold out\"; every refusal has a code, and says when to try again.",
}

// Judge checks the promises after a drill. It asks the town about everything that was
// acknowledged, so it takes a moment.
func (l *Load) Judge(ctx context.Context, promises []string) []Verdict {
	ctx, cancel := context.WithTimeout(ctx, judgeWithin)
	defer cancel()
	checks := map[string]func(context.Context) (string, []string){
		"P2": l.noOversell, "P3": l.allKept, "P4": l.books, "P5": l.once, "P6": l.othersFine, "P7": l.othersFine, "P8": l.othersFine, "P9": l.honest,
	}
	var out []Verdict
	for _, p := range promises {
		v := Verdict{Promise: p, Says: says[p], Result: Unseen, Evidence: []string{"this drill does not check it yet"}}
		if check := checks[p]; check != nil {
			v.Result, v.Evidence = check(ctx)
		}
		out = append(out, v)
	}
	return out
}

// verdict is broken when something is, and unseen when nothing was looked at.
func verdict(seen int, what string, wrong []string) (string, []string) {
	slices.Sort(wrong)
	switch {
	case len(wrong) > 0:
		n := len(wrong)
		if n > shown {
			wrong = append(wrong[:shown], fmt.Sprintf("and %d more", n-shown))
		}
		return Broken, append([]string{fmt.Sprintf("%d of %s", n, what)}, wrong...)
	case seen == 0:
		return Unseen, []string{"there was none of " + what}
	}
	return Kept, []string{what + ": none wrong"}
}

func (l *Load) noOversell(ctx context.Context) (string, []string) {
	var wrong, seen []string
	for _, p := range l.town.Places {
		for _, sale := range []Sale{p.Event, p.Scarce} {
			stats, err := again(ctx, func(ctx context.Context) (client.Stats, error) {
				s, _, err := l.staff(p).Stats(ctx, sale.Event)
				return s, err
			})
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("%s: the stock cannot be read: %v", sale.Event, err))
				continue
			}
			for _, q := range stats.Quotas {
				line := fmt.Sprintf("%s in %s: %d sold and %d held of %d", sale.Event, p.City, q.Sold, q.Held, q.Size)
				if seen = append(seen, line); q.Sold+q.Held > q.Size {
					wrong = append(wrong, line)
				}
			}
		}
	}
	result, evidence := verdict(len(seen), fmt.Sprintf("%d quotas", len(seen)), wrong)
	return result, append(evidence, seen...)
}

func (l *Load) acknowledged() (all []kept) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.holds {
		all = append(all, *k)
	}
	return all
}

func (l *Load) allKept(ctx context.Context) (string, []string) {
	var wrong []string
	holds, orders := 0, 0
	for _, k := range l.acknowledged() {
		if k.hold.ID == "" || k.released {
			continue
		}
		holds++
		if _, err := again(ctx, func(ctx context.Context) (client.Hold, error) {
			h, _, err := k.client.GetHold(ctx, k.hold.ID)
			return h, err
		}); err != nil {
			wrong = append(wrong, fmt.Sprintf("hold %s: %v", k.hold.ID, err))
		}
		if k.order.ID == "" {
			continue
		}
		orders++
		if _, err := again(ctx, func(ctx context.Context) (client.Order, error) {
			o, _, err := k.client.GetOrder(ctx, k.order.ID)
			return o, err
		}); err != nil {
			wrong = append(wrong, fmt.Sprintf("order %s: %v", k.order.ID, err))
		}
	}
	return verdict(holds+orders, fmt.Sprintf("%d holds and %d orders that were acknowledged", holds, orders), wrong)
}

func (l *Load) books(ctx context.Context) (string, []string) {
	ctx, cancel := context.WithTimeout(ctx, booksWithin)
	defer cancel()
	var wrong []string
	paid := 0
	for _, k := range l.acknowledged() {
		if !k.confirmed {
			continue
		}
		paid++
		last, ended := "unknown", false
		for !ended && ctx.Err() == nil {
			o, _, err := k.client.GetOrder(ctx, k.order.ID)
			if err == nil {
				last = o.State + ", refund " + o.RefundStatus
				ended = o.State == "paid" && len(o.Tickets) > 0 || o.PaymentState == "refunded" || o.RefundStatus == "full"
			}
			if !ended {
				pause(ctx)
			}
		}
		if !ended {
			wrong = append(wrong, fmt.Sprintf("order %s was charged and is %s", k.order.ID, last))
		}
	}
	return verdict(paid, fmt.Sprintf("%d payments that the provider took", paid), wrong)
}

// once asks again for the last holds, and for all whose outcome nobody knew.
func (l *Load) once(ctx context.Context) (string, []string) {
	const last = 20
	var wrong []string
	known, unknown := 0, 0
	all := l.acknowledged()
	slices.Reverse(all)
	for _, k := range all {
		if k.hold.ID != "" && known >= last {
			continue
		}
		ask := func(ctx context.Context) (client.Hold, error) {
			h, _, err := k.client.CreateHold(ctx, k.sale.Event, k.want, k.key)
			return h, err
		}
		first := k.hold
		if first.ID == "" {
			unknown++
			var err error
			if first, err = again(ctx, ask); client.CodeOf(err) == "sold_out" {
				continue
			} else if err != nil {
				wrong = append(wrong, fmt.Sprintf("key %s: %v", k.key, err))
				continue
			}
		} else {
			known++
		}
		second, err := again(ctx, ask)
		if err != nil || second.ID != first.ID {
			wrong = append(wrong, fmt.Sprintf("key %s gave %s and then %s (%v)", k.key, first.ID, second.ID, err))
		}
		if k.hold.ID == "" {
			_, _ = k.client.ReleaseHold(ctx, first.ID) // it expires anyway
		}
	}
	return verdict(known+unknown, fmt.Sprintf("%d holds asked for again with their key, %d whose answer had been lost", known+unknown, unknown), wrong)
}

// othersFine looks at all that the fault must not have reached.
func (l *Load) othersFine(context.Context) (string, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wrong []string
	outside, during := 0, 0
	for _, r := range l.records {
		if l.allowed(r) {
			continue
		}
		if outside++; l.fault[0] != 0 && r.At+r.Took >= l.fault[0] {
			during++
		}
		if !r.OK && !r.SoldOut {
			wrong = append(wrong, fmt.Sprintf("%6.2f s: near %s, %s at %s: %s %s", r.At.Seconds(), r.Near, r.Action, r.Home, r.Code, status(r.Status)+r.Detail))
		}
	}
	result, evidence := verdict(during, fmt.Sprintf("%d requests outside of the blast radius, %d of them since the fault", outside, during), wrong)
	return result, append(evidence, l.slowness()...)
}

// slowness compares each place's times before the fault and while it lasted. One machine
// carries the whole town, so this is told and not judged. The lock is held.
func (l *Load) slowness() (lines []string) {
	for _, p := range l.town.Places {
		var before, during []time.Duration
		for _, r := range l.records {
			switch {
			case r.Near != p.Cell || !r.OK || r.Action == "pay" || l.covers(r.Home, r.Action):
			case l.fault[0] == 0 || r.At < l.fault[0]:
				before = append(before, r.Took)
			default:
				during = append(during, r.Took)
			}
		}
		lines = append(lines, fmt.Sprintf("near %s, p99 %s before and %s since the fault (told, not judged)", p.City, slowest(before), slowest(during)))
	}
	return lines
}

func slowest(took []time.Duration) string {
	if len(took) == 0 {
		return "unknown"
	}
	slices.Sort(took)
	return took[min(len(took)-1, len(took)*99/100)].Round(time.Millisecond).String()
}

func status(code int) string {
	if code == 0 {
		return ""
	}
	return fmt.Sprintf("(%d)", code)
}

func (l *Load) honest(context.Context) (string, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wrong []string
	refused := map[string]int{}
	total := 0
	for _, r := range l.records {
		where := fmt.Sprintf("%6.2f s: near %s, %s at %s", r.At.Seconds(), r.Near, r.Action, r.Home)
		if r.Lie {
			wrong = append(wrong, where+": \"sold out\" of an event with many tickets")
		}
		if r.OK || r.Status == 0 {
			continue
		}
		total++
		refused[r.Code]++
		if strings.HasPrefix(r.Code, "http_") {
			wrong = append(wrong, where+": an answer without a code "+status(r.Status))
		}
		if (r.Status == 429 || r.Status == 503) && !r.Retry {
			wrong = append(wrong, where+": "+r.Code+" does not say when to try again")
		}
	}
	result, evidence := verdict(len(l.records), fmt.Sprintf("%d answers, %d of them refusals", len(l.records), total), wrong)
	for code, n := range refused {
		evidence = append(evidence, fmt.Sprintf("%s: %d times", code, n))
	}
	slices.Sort(evidence[1:])
	return result, evidence
}

// again asks until there is an answer, for a while: the town has only just come back.
func again[T any](ctx context.Context, ask func(context.Context) (T, error)) (got T, err error) {
	ctx, cancel := context.WithTimeout(ctx, judgePatient)
	defer cancel()
	for {
		if got, err = ask(ctx); err == nil || !client.Retryable(err) || ctx.Err() != nil {
			return got, err
		}
		pause(ctx)
	}
}

// pause waits a moment, or until ctx ends.
func pause(ctx context.Context) {
	t := time.NewTimer(paidPoll)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
