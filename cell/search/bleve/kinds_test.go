package bleve

import (
	"strings"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/cell/search"
)

// found are the names of what is found, in order.
func found(res search.Result) string {
	var out []string
	for _, h := range res.Hits {
		out = append(out, h.Doc.Event.Name)
	}
	return strings.Join(out, ", ")
}

func TestSearch_fromATimeOnFindsWhatIsRunningThen(t *testing.T) {
	t.Parallel()
	noon := time.Date(2030, 10, 15, 12, 0, 0, 0, time.UTC)
	docs := []search.Document{
		row{name: "Exhibition", city: "Paris", country: "FR", starts: "2030-10-01T08:00:00Z"}.document(1),
		row{name: "Closed at noon", city: "Paris", country: "FR", starts: "2030-10-15T08:00:00Z"}.document(2),
		row{name: "Began, end unsaid", city: "Paris", country: "FR", starts: "2030-10-15T11:00:00Z"}.document(3),
		row{name: "Tonight", city: "Paris", country: "FR", starts: "2030-10-15T18:00:00Z"}.document(4),
	}
	month := noon.AddDate(0, 1, 0)
	docs[0].Event.EndsAt, docs[1].Event.EndsAt = &month, &noon
	x := openTest(t, docs)
	for want, q := range map[string]search.Query{
		"Exhibition, Tonight":        {From: noon},
		"Exhibition":                 {From: noon, To: noon.Add(time.Hour)},
		"Exhibition, Closed at noon": {From: noon.Add(-time.Second), To: noon.Add(-time.Hour - time.Second)},
		"":                           {From: month.Add(time.Hour)},
		"Exhibition, Closed at noon, Began, end unsaid": {To: noon},
	} {
		q.Sort = search.ByDate
		if got := found(mustSearch(t, x, q)); got != want {
			t.Errorf("%s: %s, want %s", describe(q), got, want)
		}
	}
}

func TestSearch_aDayIsWhatTheCalendarAtThePlaceShows(t *testing.T) {
	t.Parallel()
	x := openTest(t, []search.Document{
		row{name: "Tokyo, breakfast", city: "Tokyo", country: "JP", starts: "2030-10-14T23:00:00Z"}.document(1),     // the 15th there
		row{name: "New York, evening", city: "New York", country: "US", starts: "2030-10-16T00:30:00Z"}.document(2), // still the 15th
		row{name: "Paris, next day", city: "Paris", country: "FR", starts: "2030-10-15T22:30:00Z"}.document(3),      // the 16th already
	})
	day := time.Date(2030, 10, 15, 0, 0, 0, 0, time.UTC)
	for want, q := range map[string]search.Query{
		"Tokyo, breakfast, New York, evening": {FromDay: day, ToDay: day},
		"Paris, next day":                     {FromDay: day.AddDate(0, 0, 1)},
		"":                                    {ToDay: day.AddDate(0, 0, -1)},
	} {
		q.Sort = search.ByDate
		if got := found(mustSearch(t, x, q)); got != want {
			t.Errorf("%s: %s, want %s", describe(q), got, want)
		}
	}
}

func TestSearch_findsNamesWithoutTheirPunctuation(t *testing.T) {
	t.Parallel()
	x := openTest(t, []search.Document{
		row{name: "AC/DC live", venue: "O'Brien's", city: "Saint-Jean-sur-Richelieu", country: "CA", starts: "2030-10-15T18:00:00Z"}.document(1),
		row{name: "Other", venue: "Hall", city: "Paris", country: "FR", starts: "2030-10-15T18:00:00Z"}.document(2),
	})
	for _, text := range []string{"acdc", "ACDC", "ac/dc", "ac dc", "acd", "obriens", "o'brien's", "saintjeansurrichelieu", "saint-jean-sur-richelieu"} {
		if got := found(mustSearch(t, x, search.Query{Text: text})); got != "AC/DC live" {
			t.Errorf("%q finds %q", text, got)
		}
	}
}

func TestSearch_priceMaxIsOfWhatCanStillBeBought(t *testing.T) {
	t.Parallel()
	noon := time.Date(2030, 10, 15, 12, 0, 0, 0, time.UTC)
	d := row{name: "Three prices", city: "Paris", country: "FR", starts: "2030-11-15T18:00:00Z", price: 3000}.document(1)
	typ := func(name string, amount int64, class client.Availability, until *time.Time) client.TicketType {
		return client.TicketType{Name: name, PriceAllIn: money.Money{Amount: amount, Currency: "EUR"}, Availability: class, SalesEnd: until}
	}
	over, soon := noon.Add(-time.Minute), noon.Add(time.Minute)
	d.Event.TicketTypes = []client.TicketType{typ("Gone", 500, client.None, nil), typ("Over", 1000, client.Available, &over), typ("Early", 2000, client.Few, &soon), typ("Standard", 3000, client.Available, nil)}
	x := openTest(t, []search.Document{d})
	for _, c := range []struct {
		at    time.Time
		price int64
	}{{noon.AddDate(0, 0, -1), 1000}, {noon, 2000}, {noon.AddDate(0, 0, 1), 3000}} {
		if got := d.PriceFrom(c.at); got == nil || got.Amount != c.price {
			t.Errorf("at %s it is from %v, want %d", c.at, got, c.price)
		}
		enough, short := c.price, c.price-1
		if got := mustSearch(t, x, search.Query{PriceMax: &enough, BuyableAt: c.at}).Total; got != 1 {
			t.Errorf("at %s for %d: %d found", c.at, enough, got)
		}
		if got := mustSearch(t, x, search.Query{PriceMax: &short, BuyableAt: c.at}).Total; got != 0 {
			t.Errorf("at %s for %d: %d found", c.at, short, got)
		}
	}
}
