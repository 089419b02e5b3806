package bleve

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/cell/search"
	"guichet/control-plane/topology"
)

// eventID is the n-th id of a test, born at one of the three cells.
func eventID(n int) string {
	cells := []string{"euw3", "use1", "apn1"}
	b := make([]byte, topology.EventRandLen)
	for i, v := len(b)-1, n; i >= 0; i, v = i-1, v/32 {
		b[i] = topology.Alphabet[v%32]
	}
	return "evt_" + cells[n%3] + "_" + string(b)
}

type row struct {
	name, summary, category, venue, city, country string
	lat, lon                                      float64
	starts                                        string
	price                                         int64 // < 0: none
}

// wallOf are some countries' clocks.
var wallOf = map[string]string{"JP": "Asia/Tokyo", "FR": "Europe/Paris", "US": "America/New_York", "BR": "America/Sao_Paulo"}

func (r row) document(n int) search.Document {
	starts, err := time.Parse(time.RFC3339, r.starts)
	if err != nil {
		panic(err)
	}
	e := client.Event{
		ID: eventID(n), Name: r.name, Summary: r.summary, Category: r.category, StartsAt: starts, TimeZone: cmp.Or(wallOf[r.country], "UTC"), Currency: "EUR", Version: 1,
		Venue: client.Venue{Name: r.venue, City: r.city, Country: r.country},
		Home:  client.Home{Cell: strings.Split(eventID(n), "_")[1]},
	}
	if r.lat != 0 || r.lon != 0 {
		e.Venue.Location = &client.Location{Lat: r.lat, Lon: r.lon}
	}
	if r.price >= 0 {
		typ := func(name string, amount int64, class client.Availability, until *time.Time) {
			e.TicketTypes = append(e.TicketTypes, client.TicketType{Name: name, PriceAllIn: money.Money{Amount: amount, Currency: "EUR"}, Availability: class, SalesEnd: until})
		}
		typ("Standard", r.price, client.Available, nil)
		if r.price%3 == 0 { // what was cheaper is over, or sold out
			early, earlier := e.StartsAt.AddDate(0, 0, -20), e.StartsAt.AddDate(0, 0, -40)
			typ("Early", r.price/2, client.Few, &early)
			typ("Earlier", r.price/3, client.Available, &earlier)
			typ("Gone", r.price/4, client.None, nil)
		}
	}
	return search.NewDocument(e, true)
}

// small is a catalogue of real halls and works, for relevance.
var small = []row{
	{"Beethoven: Symphony No. 9", "Ode to Joy with choir", "music", "Suntory Hall", "Tokyo", "JP", 35.6666, 139.7411, "2030-12-20T10:00:00Z", 900000},
	{"Sumo: January tournament", "Fifteen days of wrestling", "sport", "Ryōgoku Kokugikan", "Tokyo", "JP", 35.6970, 139.7934, "2031-01-12T00:00:00Z", 350000},
	{"東京都交響楽団 定期演奏会", "マーラー 交響曲第5番", "音楽", "東京文化会館", "東京", "JP", 35.7139, 139.7752, "2030-11-02T09:00:00Z", 750000},
	{"能楽 新春公演", "", "演劇", "国立能楽堂", "東京", "JP", 35.6806, 139.7069, "2031-01-03T05:00:00Z", 500000},
	{"Nocturnes au Musée", "Visite du soir", "exposition", "Musée d'Orsay", "Paris", "FR", 48.8600, 2.3266, "2030-10-03T18:00:00Z", 1600},
	{"Carmen", "Opéra de Bizet", "opéra", "Opéra Bastille", "Paris", "FR", 48.8529, 2.3700, "2030-11-15T18:30:00Z", 15000},
	{"Fête de la Musique", "Concerts gratuits dans les rues", "festival", "Place de la République", "Paris", "FR", 48.8674, 2.3637, "2031-06-21T16:00:00Z", 0},
	{"Piano recital", "Late sonatas by Beethoven", "music", "Carnegie Hall", "New York", "US", 40.7651, -73.9799, "2030-10-10T00:00:00Z", 8500},
	{"Beethoven", "The pianist alone", "music", "Wigmore Hall", "London", "GB", 51.5166, -0.1489, "2031-02-01T19:30:00Z", 4500},
	{"Samba School Parade", "Carnaval", "festival", "Sambódromo", "Rio de Janeiro", "BR", -22.9114, -43.1967, "2031-02-15T23:00:00Z", 25000},
	{"São João", "Festa", "festival", "Parque do Povo", "São Paulo", "BR", -23.5505, -46.6333, "2031-06-24T20:00:00Z", 0},
	{"Virada Cultural", "24 hours", "festival", "Centro", "Sao Paulo", "BR", -23.5455, -46.6400, "2031-05-20T20:00:00Z", -1},
	{"ChinaJoy", "Games", "expo", "New International Expo Centre", "Shanghai", "CN", 31.2110, 121.5630, "2031-07-25T01:00:00Z", 10000},
	{"서울시립교향악단 정기연주회", "차이콥스키", "클래식", "롯데콘서트홀", "서울", "KR", 37.5137, 127.1044, "2030-12-05T10:30:00Z", 1200},
	{"Lecture without a place", "Streamed", "talk", "", "", "", 0, 0, "2030-12-01T12:00:00Z", -1},
}

func smallDocs() []search.Document {
	docs := make([]search.Document, len(small))
	for i, r := range small {
		docs[i] = r.document(i + 1)
	}
	return docs
}

func openTest(t testing.TB, docs []search.Document) *Index {
	t.Helper()
	x, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	put(t, x, docs, 0)
	return x
}

// put applies the documents in batches, marks counting from after.
func put(t testing.TB, x search.Index, docs []search.Document, after int64) {
	t.Helper()
	for len(docs) > 0 {
		n := min(len(docs), search.MaxBatch)
		after += int64(n)
		if err := x.Apply(context.WithoutCancel(t.Context()), docs[:n], search.Mark{Source: "test", Seq: after}); err != nil {
			t.Fatal(err)
		}
		docs = docs[n:]
	}
}

// sharedFile opens a file of ../shared/data, found by walking up.
func sharedFile(t testing.TB, name string) io.Reader {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "shared", "data", "SOURCES.md")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Skip("SKIPPED: shared/data is not here, so nothing was checked on real rows")
		}
	}
	f, err := os.Open(filepath.Join(dir, "shared", "data", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if !strings.HasSuffix(name, ".gz") {
		return f
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func sharedRows(t testing.TB, name string, comma rune, take func(get func(string) string)) {
	t.Helper()
	r := csv.NewReader(sharedFile(t, name))
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = comma, true, -1
	head, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	for i := range head {
		head[i] = strings.Trim(head[i], " \ufeff")
	}
	for {
		rec, err := r.Read()
		if err == io.EOF {
			return
		}
		if err != nil {
			continue // a broken row of the source
		}
		take(func(column string) string {
			for i, h := range head {
				if h == column && i < len(rec) {
					return rec[i]
				}
			}
			return ""
		})
	}
}

var realRows = struct {
	sync.Once
	rows []row
}{}

// realCatalogue makes n documents of real rows (Seoul, Madrid, Toronto, the New
// York Philharmonic's tours); beyond their number it repeats them on other dates
// and some kilometres away. It skips loudly where the rows are not at hand.
func realCatalogue(t testing.TB, n int) []search.Document {
	t.Helper()
	realRows.Do(func() { realRows.rows = loadRows(t) })
	if len(realRows.rows) == 0 {
		t.Skip("SKIPPED: shared/data is not here, so nothing was checked on real rows")
	}
	docs := make([]search.Document, n)
	for i := range docs {
		r := realRows.rows[(i*7919)%len(realRows.rows)] // a mix of all sources
		start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i*37%(400*24)) * time.Hour)
		r.starts = start.Format(time.RFC3339)
		if round := i / len(realRows.rows); round > 0 && r.lat != 0 {
			r.lat += float64(round%7-3) * 0.07
			r.lon += float64(round%11-5) * 0.09
			r.name += " " + strconv.Itoa(round+1)
		}
		docs[i] = r.document(i + 1)
	}
	return docs
}

func loadRows(t testing.TB) []row {
	t.Helper()
	var rows []row
	number := func(s string) float64 { v, _ := strconv.ParseFloat(s, 64); return v }
	clipped := func(s string) string { return strings.ToValidUTF8(s[:min(len(s), 400)], "") }
	sharedRows(t, "events/seoul_cultural_events_2025-08.csv.gz", ',', func(get func(string) string) {
		rows = append(rows, row{
			get("공연/행사명"), clipped(get("프로그램소개") + " " + get("출연자정보")), get("분류"), get("장소"), "서울 " + get("자치구"), "KR",
			number(get("위도(Y좌표)")), number(get("경도(X좌표)")), "", int64(len(rows)%40) * 500,
		})
	})
	sharedRows(t, "events/madrid_cultural_agenda_2022-12.csv.gz", ';', func(get func(string) string) {
		rows = append(rows, row{
			get("TITULO"), clipped(get("DESCRIPCION")), filepath.Base(get("TIPO")), get("NOMBRE-INSTALACION"), "Madrid", "ES", //nolint:misspell // their Spanish
			number(get("LATITUD")), number(get("LONGITUD")), "", int64(len(rows)%30) * 100,
		})
	})
	halls := 0
	sharedRows(t, "events/nyphil_performances.csv.gz", ',', func(get func(string) string) {
		if halls++; halls%5 == 0 {
			rows = append(rows, row{
				get("workTitles"), clipped(get("composers") + " " + get("soloists")), get("eventType"), get("Venue"), get("Location"), "US",
				0, 0, "", -1,
			})
		}
	})
	rows = append(rows, toronto(t)...)
	valid := rows[:0]
	for _, r := range rows {
		if r.name != "" && r.lat >= -90 && r.lat <= 90 && r.lon >= -180 && r.lon <= 180 {
			valid = append(valid, r)
		}
	}
	return valid
}

func toronto(t testing.TB) []row {
	t.Helper()
	var events []struct {
		Name, Description string
		Keywords          []string
		Location          struct {
			Name string
			Geo  struct{ Latitude, Longitude float64 }
		}
	}
	if err := json.NewDecoder(sharedFile(t, "events/toronto_festivals_events_2025.json.gz")).Decode(&events); err != nil {
		t.Fatal(err)
	}
	rows := make([]row, 0, len(events))
	for i, e := range events {
		r := row{
			name: e.Name, summary: strings.ToValidUTF8(e.Description[:min(len(e.Description), 400)], ""), venue: e.Location.Name,
			city: "Toronto", country: "CA", lat: e.Location.Geo.Latitude, lon: e.Location.Geo.Longitude, price: int64(i%20) * 250,
		}
		if len(e.Keywords) > 0 {
			r.category = e.Keywords[0]
		}
		rows = append(rows, r)
	}
	return rows
}

func ids(res search.Result) []string {
	out := make([]string, len(res.Hits))
	for i := range res.Hits {
		out[i] = res.Hits[i].Doc.ID()
	}
	return out
}

func names(res search.Result) string {
	var b strings.Builder
	for _, h := range res.Hits {
		fmt.Fprintf(&b, "%s | ", h.Doc.Event.Name)
	}
	return b.String()
}
