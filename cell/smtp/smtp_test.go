package smtp_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"guichet/cell/notify"
	"guichet/cell/smtp"
	"guichet/cell/smtp/sink"
)

const patience = 20 * time.Second

// serve opens a sink and says where it takes mails.
func serve(t *testing.T) (*sink.Sink, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	box := sink.New(time.Now)
	done := make(chan error, 1)
	go func() { done <- box.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return box, "smtp://" + l.Addr().String() + "?tls=off"
}

func courier(t *testing.T, server string) *smtp.Courier {
	t.Helper()
	c, err := smtp.New(server, "Guichet <tickets@town.example>")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func letter() notify.Mail {
	return notify.Mail{
		ID: "0123abcd", To: "zoe@example.org", Name: "Zoë, \"Z\" <x@y.z>", Subject: "第九 – Ihre Karten für Ölprinz 🎫 " + strings.Repeat("sehr ", 20), Language: "de",
		Text: "Guten Tag\n.\n..\nmit Punkten am Anfang und " + strings.Repeat("langen Zeilen ", 200) + "\n", HTML: "<p>Grüße &amp; 第九</p>", Date: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC),
		Attachments: []notify.Attachment{
			{Name: "tickets-K7Q.pdf", Media: "application/pdf", Content: []byte("%PDF-1.7\x00\xff binary\r\n.\r\n")},
			{Name: "event.ics", Media: "text/calendar; charset=utf-8; method=PUBLISH", Content: []byte("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")},
		},
	}
}

func TestSend_arrivesAsItWasWritten(t *testing.T) {
	t.Parallel()
	box, server := serve(t)
	m := letter()
	if err := courier(t, server).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := box.Mails("ZOE@example.org")
	if len(got) != 1 {
		t.Fatalf("%d mails", len(got))
	}
	g := got[0]
	if g.Subject != m.Subject || g.HTML != m.HTML || g.MessageID != "0123abcd@town.example" || g.From != "tickets@town.example" || g.Language != "de" || g.Broken != "" {
		t.Errorf("%+v", g)
	}
	if strings.ReplaceAll(g.Text, "\r\n", "\n") != m.Text {
		t.Errorf("text %q", g.Text)
	}
	if len(g.To) != 1 || len(g.Files) != 2 {
		t.Fatalf("to %v, files %v", g.To, g.Files)
	}
	for i, f := range m.Attachments {
		if g.Files[i].Name != f.Name || string(g.Files[i].Content) != string(f.Content) || !strings.HasPrefix(g.Files[i].Media, strings.Split(f.Media, ";")[0]) {
			t.Errorf("file %d: %+v", i, g.Files[i])
		}
	}
}

func TestSend_tellsARefusalFromATrouble(t *testing.T) {
	t.Parallel()
	_, server := serve(t)
	m := letter()
	m.To, m.Name = "refused@example.org", ""
	if err := courier(t, server).Send(t.Context(), m); !errors.Is(err, notify.ErrRefused) {
		t.Errorf("refused: %v", err)
	}
	for _, bad := range []string{"a b@example.org", "x@y.z\r\nBcc: q@example.org", ""} {
		m.To = bad
		if err := courier(t, server).Send(t.Context(), m); !errors.Is(err, notify.ErrRefused) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := courier(t, "smtp://127.0.0.1:1?tls=off").Send(t.Context(), letter()); err == nil || errors.Is(err, notify.ErrRefused) {
		t.Errorf("nobody there: %v", err)
	}
}

// scripted is a mail server that says what it is told to.
func scripted(t *testing.T, lines map[string]string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go talk(conn, lines)
		}
	}()
	return "smtp://" + l.Addr().String() + "?tls=off"
}

func talk(conn net.Conn, lines map[string]string) {
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "220 scripted\r\n")
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.TrimSpace(string(buffer[:n])), " ")
		answer, ok := lines[strings.ToUpper(verb)]
		if !ok {
			answer = "250 fine"
		}
		if answer == "" { // says nothing any more
			_, _ = conn.Read(buffer)
			return
		}
		_, _ = io.WriteString(conn, answer+"\r\n")
	}
}

func TestSend_aServerThatRefusesUsIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]map[string]string{
		"sender refused":   {"MAIL": "550 not from you"},
		"recipient later":  {"RCPT": "451 greylisted"},
		"greeting refused": {"EHLO": "554 go away", "HELO": "554 go away"},
	} {
		if err := courier(t, scripted(t, lines)).Send(t.Context(), letter()); err == nil || errors.Is(err, notify.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := courier(t, scripted(t, map[string]string{"DATA": "554 this is spam"})).Send(t.Context(), letter()); !errors.Is(err, notify.ErrRefused) {
		t.Errorf("content refused: %v", err)
	}
}

func TestSend_endsWithItsContext(t *testing.T) {
	t.Parallel()
	server := scripted(t, map[string]string{"MAIL": ""})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- courier(t, server).Send(ctx, letter()) }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("a mail was sent by silence")
		}
	case <-time.After(patience):
		t.Error("it waits for a server that says nothing")
	}
}

func TestNew_refusesWhatCannotBeUsedWithoutRepeatingPasswords(t *testing.T) {
	t.Parallel()
	for server, from := range map[string]string{
		"http://mail:25": "a@b.c", "smtp://": "a@b.c", "smtp://u:secret@mail?tls=off": "a@b.c", "smtp://u:secret@mail:99999": "a@b.c", "smtp://mail?tls=on": "a@b.c",
		"smtp://u:secret@mail/path": "a@b.c", "smtp://u:secret@mail:587": "nobody", "smtps://mail?tls=off": "a@b.c",
	} {
		if _, err := smtp.New(server, from); !errors.Is(err, smtp.ErrAddress) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", server, err)
		}
	}
	for _, server := range []string{"smtp://u:p@mail.example", "smtps://u:p@mail.example:465", "smtp://[::1]:1025?tls=off"} {
		if _, err := smtp.New(server, "Guichet <a@b.c>"); err != nil {
			t.Errorf("%s: %v", server, err)
		}
	}
}

func TestSink_showsMailsOnAPageAndAsJSON(t *testing.T) {
	t.Parallel()
	box, server := serve(t)
	m := letter()
	m.HTML = "<script>alert(1)</script>"
	m.Subject = "<b>bold</b>"
	if err := courier(t, server).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	show := httptest.NewServer(box.Handler())
	defer show.Close()
	get := func(path string) (string, http.Header) {
		t.Helper()
		resp, err := http.Get(show.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v", path, resp.Status, err)
		}
		return string(body), resp.Header
	}
	page, _ := get("/")
	if !strings.Contains(page, "&lt;b&gt;bold") || strings.Contains(page, "<script>") {
		t.Errorf("page:\n%s", page)
	}
	body, header := get("/mails/1/html")
	if body != m.HTML || !strings.Contains(header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%q under %v", body, header)
	}
	if body, header = get("/mails/1/files/0"); header.Get("Content-Type") != "application/pdf" || !strings.HasPrefix(body, "%PDF") {
		t.Errorf("%v", header)
	}
	for to, want := range map[string]int{"zoe@example.org": 1, "other@example.org": 0, "": 1} {
		var list struct{ Items []sink.Mail }
		text, _ := get("/mails?to=" + to)
		if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Items) != want {
			t.Errorf("%q: %d mails, %v", to, len(list.Items), err)
		}
	}
	for _, path := range []string{"/mails/2/html", "/mails/x/html", "/mails/1/files/9", "/mails/1/files/-1"} {
		resp, err := http.Get(show.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
