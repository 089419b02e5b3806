package search

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"guichet/cell/bus"
	"guichet/cell/client"
)

func TestBeater_numbersItsBeatsAndTellsEverythingInRounds(t *testing.T) {
	t.Parallel()
	g, b := openGround()
	for n := range roundEvents + 10 { // two pages
		g.change(eventID(n), client.Available, g.now.Add(-time.Hour))
	}
	told := map[string]client.Availability{}
	maps.Copy(told, g.beat(t, b))
	maps.Copy(told, g.beat(t, b))
	if len(told) != roundEvents+10 {
		t.Fatalf("the first round told %d events", len(told))
	}
	looks, whole := g.looks, int64(0)
	for range 2 * int(RoundPeriod/BeatPeriod) {
		if got := g.beat(t, b); len(got) == roundEvents {
			whole++
		}
	}
	last := g.heard[len(g.heard)-1]
	if whole != 2 || g.looks != looks {
		t.Errorf("%d rounds in %s, %d classes of unchanged events were read", whole, 2*RoundPeriod, g.looks-looks)
	}
	for i, beat := range g.heard {
		if beat.Seq != int64(i+1) || beat.Run == "" || beat.Run != last.Run || (beat.Whole > 0) != (i > 0) {
			t.Fatalf("beat %d: number %d of %q, whole from %d", i, beat.Seq, beat.Run, beat.Whole)
		}
	}
	if g.heard[1].Whole != 1 || last.Whole <= 30 {
		t.Errorf("the first round is whole from %d, the last one from %d", g.heard[1].Whole, last.Whole)
	}
}

// A beat whose sending failed may have arrived: its number is not used again, and all is told again at once.
func TestBeater_afterAFailedSendUsesANewNumberAndBeginsARound(t *testing.T) {
	t.Parallel()
	g, b := openGround()
	g.change(eventID(1), client.Few, g.now)
	g.beat(t, b)
	g.deaf = true
	g.beat(t, b)
	g.deaf = false
	got := g.beat(t, b)
	if last := g.heard[1]; last.Seq != 3 || last.Whole != 3 || got[eventID(1)] != client.Few {
		t.Errorf("number %d, whole from %d, told %v", last.Seq, last.Whole, got)
	}
}

// What a page of a round says last is what the next change is compared with.
func TestBeater_tellsAChangeBackThatARoundSawInBetween(t *testing.T) {
	t.Parallel()
	g, b := openGround()
	one := eventID(1)
	g.change(one, client.None, g.now)
	g.beat(t, b)
	g.now = g.now.Add(RoundPeriod)
	g.meanwhile = func() { g.change(one, client.Available, g.now) } // between the look and the page
	if got := g.beat(t, b); got[one] != client.Available {
		t.Fatalf("the round told %v", got)
	}
	g.change(one, client.None, g.now)
	if got := g.beat(t, b); got[one] != client.None {
		t.Errorf("told %v", got)
	}
}

func TestBeater_looksAgainAtClassesThatNobodyChangedForLong(t *testing.T) {
	t.Parallel()
	g, b := openGround()
	g.change(eventID(1), client.Available, g.now)
	g.beat(t, b)
	g.classes[eventID(1)] = client.None // its sale has ended: no change of stock
	for end := g.now.Add(classTrust + 2*RoundPeriod); g.now.Before(end); {
		g.beat(t, b)
	}
	told := client.Unknown
	for _, beat := range g.heard {
		if class, there := beat.Changed[eventID(1)]; there {
			told = class
		}
	}
	if told != client.None {
		t.Errorf("told %q last", told)
	}
}

// The hub refuses a message that is too large, and so would lose the largest beats for good.
func TestBeater_largestBeatFitsTheBus(t *testing.T) {
	t.Parallel()
	g, b := openGround()
	b.Cell = "euww3b"
	for n := range 2 * maxBeatEvents {
		event := strings.Replace(eventID(n), "euw3", "euww3b", 1)
		g.changes, g.classes[event] = append(g.changes, StockChange{event, g.now.Add(time.Duration(n) * time.Microsecond), int64(n)}), client.Available
	}
	b.cursor = g.now.Add(-time.Second)
	most := 0
	send := b.Send
	b.Send = func(ctx context.Context, payload []byte) error {
		most = max(most, len(payload))
		return send(ctx, payload)
	}
	for range 4 {
		g.beat(t, b)
	}
	if most > bus.MaxPayload || most < bus.MaxPayload/2 {
		t.Errorf("the largest beat has %d bytes, the bus carries %d", most, bus.MaxPayload)
	}
}
