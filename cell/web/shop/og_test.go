package shop_test

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

func TestPicture_isDrawnForLinks(t *testing.T) {
	t.Parallel()
	h := open(t)
	for i, changes := range []object{nil, {"name": "蝶々夫人", "venue": object{"name": "新国立劇場", "city": "Tokyo", "country": "JP"}, "time_zone": "Asia/Tokyo"}} {
		e := h.stage(t, changes)
		p := h.visitor(t).get(t, "/en/events/"+e.ID+".png").says(t, 200)
		img, err := png.Decode(bytes.NewReader([]byte(p.body)))
		if err != nil || img.Bounds().Dx() != 1200 || img.Bounds().Dy() != 630 || p.header.Get("Content-Type") != "image/png" || len(p.body) > 200<<10 {
			t.Errorf("%v %v, %d bytes", err, p.header, len(p.body))
		}
		if dir := os.Getenv("GUICHET_SCREENSHOTS"); dir != "" {
			_ = os.WriteFile(filepath.Join(dir, "og-"+string(rune('a'+i))+".png"), []byte(p.body), 0o600)
		}
	}
}
