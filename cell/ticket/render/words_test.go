package render_test

import (
	"image"
	"image/color"
	"strings"
	"testing"

	"guichet/cell/ticket/render"
)

func TestWords_staysInItsLinesWhateverIsWritten(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"Symphonie fantastique", "蝶々夫人", "أم كلثوم: ليلة", "👩‍👩‍👧‍👦", "", strings.Repeat("W", 4000), strings.Repeat("long words ", 200), "\u202e\x00\xff"} {
		img := image.NewRGBA(image.Rect(0, 0, 400, 300))
		y := render.Words(img, image.Pt(20, 30), 360, s, 48, 3, "JP", color.Black)
		inked := 0
		for i := 3; i < len(img.Pix); i += 4 {
			if img.Pix[i] != 0 {
				inked++
			}
		}
		if (inked > 0) != (s != "" && !strings.HasPrefix(s, "\u202e")) && s != "\u202e\x00\xff" || y > 30+3*64 {
			t.Errorf("%.20q: %d pixels, down to %d", s, inked, y)
		}
	}
}
