package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"guichet/cell/id"
	"guichet/cell/ticket"
)

func barcode(t testing.TB) string {
	t.Helper()
	s, err := ticket.NewSigner("apn1-1", make([]byte, ticket.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	tkt, err := id.ParseTicket("tkt_apn1_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v")
	if err != nil {
		t.Fatal(err)
	}
	typ, err := id.ParseTicketType("typ_apn1_k3v9x2m4q7rt_0000000000000001")
	if err != nil {
		t.Fatal(err)
	}
	return s.Barcode(ticket.Claims{Ticket: tkt, Type: typ, IssuedAt: time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)})
}

func page(t testing.TB, event string) Page {
	t.Helper()
	return Page{
		Barcode: barcode(t), Event: event, Venue: "Suntory Hall, Tokyo", Country: "JP",
		StartsAt: time.Date(2026, 11, 7, 10, 30, 0, 0, time.UTC), TimeZone: "Asia/Tokyo",
		Type: "Balcony", Attendee: "Zoë Łukasiewicz", OrderCode: "K3V9X", PageURL: "https://tickets.example/t/8h2k",
	}
}

// scan reads a picture like a gate's camera does.
func scan(t *testing.T, img image.Image) string {
	t.Helper()
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		t.Fatal(err)
	}
	return result.GetText()
}

func TestPNG_isReadByAScanner(t *testing.T) {
	t.Parallel()
	want := barcode(t)
	data, err := PNG(want)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got := scan(t, img); got != want {
		t.Errorf("scanned %s, want %s", got, want)
	}
	if again, err := PNG(want); err != nil || !bytes.Equal(data, again) {
		t.Error("the same barcode gave another picture")
	}
}

var rectangle = regexp.MustCompile(`(?m)^([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re$`)

// paper paints the filled squares of an uncompressed document, four dots a point.
func paper(t *testing.T, content string) *image.Gray {
	t.Helper()
	const dots = 4
	img := image.NewGray(image.Rect(0, 0, 596*dots, 842*dots))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for _, m := range rectangle.FindAllStringSubmatch(content, -1) {
		var x, y, w, h float64
		if _, err := fmt.Sscan(strings.Join(m[1:], " "), &x, &y, &w, &h); err != nil {
			t.Fatal(err)
		}
		for py := int((841.89 - y - h) * dots); py < int((841.89-y)*dots); py++ {
			for px := int(x * dots); px < int((x+w)*dots); px++ {
				img.SetGray(px, py, color.Gray{})
			}
		}
	}
	return img
}

// Every code has the same mask: whatever a barcode says, a camera reads it.
func TestCode_ofAnyTicketIsReadByAScanner(t *testing.T) {
	t.Parallel()
	signer, err := ticket.NewSigner("apn1-1", make([]byte, ticket.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	event, err := id.ParseTicketType("typ_apn1_k3v9x2m4q7rt_0000000000000001")
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		want := signer.Barcode(ticket.Claims{Ticket: id.NewTicket(event.Event()), Type: event, IssuedAt: time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)})
		data, err := PNG(want)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
		if err != nil {
			t.Fatal(err)
		}
		// The picture is nothing but the code: what is asked is whether it says the
		// right thing, not how well this reader finds codes, which is 99 in 100.
		result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
		if err != nil || result.GetText() != want {
			t.Errorf("scanned %v, want %s: %v", result, want, err)
		}
	}
}

func TestPDF_codeIsReadByAScanner(t *testing.T) {
	t.Parallel()
	p := page(t, "Mahler: Symphony No. 2")
	data, err := document([]Page{p}, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := scan(t, paper(t, string(data))); got != p.Barcode {
		t.Errorf("scanned %s, want %s", got, p.Barcode)
	}
}

// shows reports whether the document says the text, in one line.
func shows(content []byte, text string) bool {
	var want []byte
	for _, u := range utf16.Encode([]rune(text)) {
		want = append(want, byte(u>>8), byte(u))
	}
	for _, c := range []string{`\`, "(", ")"} {
		want = bytes.ReplaceAll(want, []byte(c), []byte(`\`+c))
	}
	want = bytes.ReplaceAll(want, []byte("\r"), []byte(`\r`)) // half of a joiner
	return bytes.Contains(content, want)
}

func TestPDF_saysWhatAVisitorNeeds(t *testing.T) {
	t.Parallel()
	p := page(t, "Fête de la Musique – Ελλάδα, Москва")
	data, err := document([]Page{p}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		p.Event, p.Venue, p.Type, p.Attendee, p.OrderCode, p.PageURL, "tkt_apn1_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v",
		"Saturday 7 November 2026, 19:30 (Asia/Tokyo, UTC+09:00)",
	} {
		if !shows(data, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if shows(data, boxNote) {
		t.Error("the page apologizes for letters that it has")
	}
}

// The picture of a name in another script, held as a hash of the page's shapes
// and letters; run with GUICHET_LOOK=dir to get the documents and look at them.
func TestPDF_drawsTheWorldsScripts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event, country, hash string
		whole                bool
	}{
		"latin":      {"Café Müller – Łódź", "PL", "c8dce8b3f38e5d44", true},
		"vietnamese": {"Nguyễn Thị Ánh Tuyết", "VN", "285f5d2c1ede7876", true},
		"japanese":   {"東京フィルハーモニー交響楽団 第九特別演奏会", "JP", "8cf1b986138ca91b", true},
		"rare":       {"𠮷野家 𩸽 㐂", "JP", "80fdf0c5ce2407df", true},
		"arabic":     {"مهرجان القاهرة السينمائي الدولي 2026", "EG", "0b580d9aac4b2c05", true},
		"persian":    {"می\u200cخواهم ۲۰۲۶", "IR", "3dfaaf5423cac4e6", true},
		"chinese":    {"香港管弦樂團：貝多芬第五交響曲", "HK", "a8cc3ac653a62b6e", true},
		"korean":     {"서울재즈페스티벌 2026", "KR", "5ef7a49e2349a22f", true},
		"hebrew":     {"הפסטיבל הבינלאומי ירושלים", "IL", "718070e1e8b66614", true},
		"thai":       {"เทศกาลดนตรีกรุงเทพ น้ำผึ้ง", "TH", "745c100291c7b826", true},
		"hindi":      {"जयपुर साहित्य उत्सव। (Jaipur) क्षत्रिय", "IN", "445a0a77eced84ea", true},
		"tamil":      {"சென்னை இசை விழா", "IN", "5c5c1804fed91962", true},
		"bengali":    {"কলকাতা বইমেলা", "IN", "b2a2d1166dcee7f3", true},
		"sinhala":    {"ශ්\u200dරී ලංකා", "LK", "12046cd717688d78", true},
		"khmer":      {"ភ្នំពេញ", "KH", "b6380de136cbe921", true},
		"amharic":    {"አዲስ አበባ", "ET", "ff12fbf0d9982530", true},
		"georgian":   {"თბილისი", "GE", "d99fca3cc6e53f6e", true},
		"armenian":   {"Երևան", "AM", "559649e48d2e3985", true},
		"mixed":      {"Orchestre אב גד Tokyo 東京 مهرجان 2026", "FR", "2d8ecd39251feba7", true},
		"emoji":      {"Disco 🪩 Night", "US", "4a4e786b85ba3641", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := page(t, c.event)
			p.Country = c.country
			data, err := document([]Page{p}, false)
			if err != nil {
				t.Fatal(err)
			}
			if shows(content(t, data), "?") {
				t.Error("question marks stand for letters")
			}
			if c.whole && !shows(data, c.event) {
				t.Error("who copies the name from the page does not get it as it was written")
			}
			if noted := shows(data, boxNote[:20]); noted == c.whole {
				t.Errorf("note about missing letters printed: %v", noted)
			}
			sum := sha256.Sum256(content(t, data))
			if got := hex.EncodeToString(sum[:8]); got != c.hash {
				t.Errorf("the page looks different: %s, want %s", got, c.hash)
			}
			if dir := os.Getenv("GUICHET_LOOK"); dir != "" {
				if err := os.WriteFile(filepath.Join(dir, name+".pdf"), data, 0o600); err != nil {
					t.Fatal(err)
				}
				writeImage(t, filepath.Join(dir, name+".png"), paper(t, string(data)))
			}
		})
	}
}

func writeImage(t *testing.T, path string, img image.Image) {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// content is the first page's drawing, which unlike the embedded fonts does not
// change with the compressor of the Go release.
func content(t *testing.T, data []byte) []byte {
	t.Helper()
	_, rest, ok := bytes.Cut(data, []byte("stream\n"))
	if !ok {
		t.Fatal("no content in the document")
	}
	body, _, _ := bytes.Cut(rest, []byte("endstream"))
	return body
}

func TestPDF_isTheSameFileEveryTime(t *testing.T) {
	t.Parallel()
	pages := []Page{page(t, "Mahler: Symphony No. 2"), page(t, "東京フィル"), page(t, "مهرجان")}
	first, err := PDF(pages)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if again, err := PDF(pages); err != nil || !bytes.Equal(first, again) {
			t.Fatalf("the file differs: %v", err)
		}
	}
	if n := bytes.Count(first, []byte("/Type /Page\n")); n != len(pages) {
		t.Errorf("%d pages, want %d", n, len(pages))
	}
}

func TestPDF_refusesWhatNoGateWouldRead(t *testing.T) {
	t.Parallel()
	bad := page(t, "Mahler")
	bad.Barcode = bad.Barcode[:40]
	if _, err := PDF([]Page{bad}); !errors.Is(err, ticket.ErrMalformed) {
		t.Errorf("damaged barcode on the first page: %v", err)
	}
	if _, err := PDF([]Page{page(t, "Mahler"), bad}); !errors.Is(err, ticket.ErrMalformed) {
		t.Errorf("damaged barcode on the second page: %v", err)
	}
	if _, err := PNG("GT1.nonsense"); !errors.Is(err, ticket.ErrMalformed) {
		t.Errorf("damaged barcode as PNG: %v", err)
	}
	if _, err := PDF(nil); !errors.Is(err, ErrTooMany) {
		t.Errorf("no page: %v", err)
	}
	if _, err := PDF(make([]Page, MaxPages+1)); !errors.Is(err, ErrTooMany) {
		t.Errorf("too many pages: %v", err)
	}
}

func TestWhen_isTheClockOnTheVenuesWall(t *testing.T) {
	t.Parallel()
	paris := time.FixedZone("", 2*3600)
	at := time.Date(2026, 7, 14, 21, 0, 0, 0, paris)
	for zone, want := range map[string]string{
		"Europe/Paris":     "Tuesday 14 July 2026, 21:00 (Europe/Paris, UTC+02:00)",
		"America/New_York": "Tuesday 14 July 2026, 15:00 (America/New_York, UTC-04:00)",
		"Asia/Tokyo":       "Wednesday 15 July 2026, 04:00 (Asia/Tokyo, UTC+09:00)",
		"":                 "Tuesday 14 July 2026, 21:00 (UTC+02:00)",
		"Local":            "Tuesday 14 July 2026, 21:00 (UTC+02:00)",
		"Mars/Olympus":     "Tuesday 14 July 2026, 21:00 (UTC+02:00)",
	} {
		if got := when(at, zone); got != want {
			t.Errorf("%q: %s, want %s", zone, got, want)
		}
	}
}

func TestText_longNamesAreCutVisibly(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("Very long festival name ", 20), strings.Repeat("ほ", 200), strings.Repeat("X", 1000)} {
		data, err := document([]Page{page(t, name)}, false)
		if err != nil {
			t.Fatal(err)
		}
		if !shows(data, "ticket page.") {
			t.Errorf("%.20s… was cut in silence", name)
		}
	}
}

// Hostile names must print as something, never fail a paid ticket.
func FuzzPDF(f *testing.F) {
	code := barcode(f)
	for _, s := range []string{
		"", " ", "\u202eevil\u202c", "a\u2029b", "\xff\xfe", "ﷺ", "Z̷̛͔a̶l̵g̸o", "\x00", "👩‍👩‍👧", "(\\)", "עברית abc عربي 123", "\u0651", "\uffff",
	} {
		f.Add(s, "JP")
	}
	f.Fuzz(func(t *testing.T, s, country string) {
		p := Page{Barcode: code, Event: s, Venue: s, Type: s, Attendee: s, OrderCode: s, PageURL: s, Country: country, TimeZone: s}
		if data, err := PDF([]Page{p}); err != nil || !bytes.HasPrefix(data, []byte("%PDF-")) {
			t.Errorf("%q: %v", s, err)
		}
	})
}

// What a paid order's mail costs here; docs/bench/mail.md has the figures.
func BenchmarkPDF(b *testing.B) {
	for name, event := range map[string]string{"latin": "Mahler: Symphony No. 2", "japanese": "東京フィルハーモニー交響楽団", "arabic": "مهرجان القاهرة السينمائي", "hindi": "जयपुर साहित्य उत्सव", "rare": "𠮷野家"} {
		b.Run(name, func(b *testing.B) {
			p := []Page{page(b, event)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := PDF(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
