package notify_test

import (
	"testing"

	"guichet/cell/notify"
)

func TestUnfit_letsPeoplesNamesBe(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Ana Lívia", "J.R.R. Tolkien", "Dr.Müller", "Dr. med. Dipl.-Ing. Müller", "Anna Schmidt, M.Sc.", "B.Sc. Ola Nordmann", "St.John Rivers", "Jean-Luc O'Brien", "Ph.D. Student", "Verein e.V.",
		"村上 春樹", "王小明", "محمد علي", "می\u200cخواهم", "क्\u200dष", "Wwwilliam", "Theodora von Httpberg", "M. Night Shyamalan", "Smith & Sons Inc.", "Nguyễn Văn A", "Àlex·Lluís", "Ten: the band", "A/B Testing GmbH",
		"X Æ A-12", "S.A. de C.V.", "Mr. T.", "1.5 Tickets", "Zoë", "🎉 Ana", "Jürgen 3.", "@home", "=1+1", "@SUM(1+1)",
	} {
		if why := notify.Unfit(name); why != "" {
			t.Errorf("%q: %s", name, why)
		}
	}
}

func TestUnfit_findsLinksHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"http://evil.example", "Win now HTTPS://evil", "hxxp://evil", "ftp: //x", "javascript:alert(1)", "mailto:x", "tel:123", "www.evil", "WWW . evil", "www2.evil.org", "evil.com", "Ana evil.com", "evil.com/x", "(evil.co.uk)",
		"claim-your-prize.xyz", "bit.ly/abc", "t.co", "пример.рф", "例え.みんな", "xn--e1afmkfd.xn--p1ai", "192.168.0.1", "bob@evil.com", "bob@localhost", "ana　ｅｖｉｌ．ｃｏｍ", "evil。com", "evil․com", "evil｡com", "evil·com", "https∶∕∕evil",
		"e\u200bvil.com", "evil\u200b.com", "evil.\u2060com", "evil\u00ad.com", "evil.c\u200dom", "ev\ufe0fil.com", "\u202emoc.live", "evil\ufeff.com", "Ana\nevil", "Ana\u2028evil", "Ana\u3164", "evil.com.", "evil_corp.com", "Evil.Com", "EVIL.COM", "-evil.com", "evil-.com", "_evil.com-", "evil.ck",
	} {
		if notify.Unfit(name) == "" {
			t.Errorf("%q can stand in a greeting", name)
		}
	}
}

func FuzzUnfit(f *testing.F) {
	for _, s := range []string{"Ana", "evil.com", "a.b.c", "\u200d", "。"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if notify.Unfit(s) == "" && notify.Unfit("https://"+s) == "" {
			t.Errorf("%q hides a link", s)
		}
	})
}
