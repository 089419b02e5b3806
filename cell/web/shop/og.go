package shop

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strconv"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/cell/ticket/render"
)

// freshPicture is how long an event's picture may be shown as it is.
const freshPicture = 24 * time.Hour

// The picture's size, as those who show links want it, and of a square of its poster.
const (
	pictureWidth  = 1200
	pictureHeight = 630
	tile          = 120
)

// drawing bounds how many pictures are drawn at once: each takes tens of milliseconds.
var drawing = make(chan struct{}, 2)

// eventPicture is the event's Open Graph picture: its poster with its name.
func (v *visit) eventPicture(id string) (answer, error) {
	e, a, err := v.readEvent(id)
	if err != nil || a.to != "" {
		if a.to != "" {
			a.to = strings.Replace(a.to, "?at=home", ".png?at=home", 1)
			a.to = strings.Replace(a.to, ".png.png", ".png", 1)
		}
		return a, err
	}
	select {
	case drawing <- struct{}{}:
		defer func() { <-drawing }()
	case <-v.r.Context().Done():
		return answer{}, v.r.Context().Err()
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, picture(v.l, e)); err != nil {
		return answer{}, err
	}
	return answer{raw: b.Bytes(), media: "image/png", fresh: freshPicture}, nil
}

// picture draws an event's picture.
func picture(l *tongue, e client.Event) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, pictureWidth, pictureHeight))
	ground, cells := posterOf(e.ID, pictureWidth/tile, 3)
	draw.Draw(img, img.Bounds(), image.NewUniform(colourOf("#faf8f3")), image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(0, 0, pictureWidth, 3*tile), image.NewUniform(colourOf(ground)), image.Point{}, draw.Src)
	for _, c := range cells {
		c.paint(img)
	}
	ink, soft, accent := colourOf("#1c1a17"), colourOf("#5b564e"), colourOf("#a3290f")
	y := render.Words(img, image.Pt(56, 3*tile+26), pictureWidth-112, e.Name, 60, 2, e.Venue.Country, ink)
	y = render.Words(img, image.Pt(56, y+4), pictureWidth-112, l.dateTime(e.StartsAt, e.TimeZone), 32, 1, e.Venue.Country, accent)
	render.Words(img, image.Pt(56, y), pictureWidth-112, place(l, e.Venue), 32, 1, e.Venue.Country, soft)
	return img
}

// colourOf reads #rrggbb; the colours here are our own.
func colourOf(hex string) color.RGBA {
	n, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 32)
	if err != nil {
		return color.RGBA{A: 255}
	}
	return color.RGBA{R: byte(n >> 16), G: byte(n >> 8), B: byte(n), A: 255} //nolint:gosec // G115: the lowest eight bits are meant
}

// paint draws the square's shape; it is the same as in the poster's SVG. Edges are
// smoothed by looking at four points of each pixel.
func (c posterCell) paint(img *image.RGBA) {
	x0, y0 := c.col*tile, c.row*tile
	if c.back != "" && c.back != c.ink {
		draw.Draw(img, image.Rect(x0, y0, x0+tile, y0+tile), image.NewUniform(colourOf(c.back)), image.Point{}, draw.Src)
	}
	ink := colourOf(c.ink)
	for y := range tile {
		for x := range tile {
			inside := 0
			for _, d := range [4][2]float64{{.25, .25}, {.75, .25}, {.25, .75}, {.75, .75}} {
				if c.covers((float64(x)+d[0])*side/tile, (float64(y)+d[1])*side/tile) {
					inside++
				}
			}
			if inside > 0 {
				i := img.PixOffset(x0+x, y0+y)
				img.Pix[i], img.Pix[i+1], img.Pix[i+2] = mix(img.Pix[i], ink.R, inside), mix(img.Pix[i+1], ink.G, inside), mix(img.Pix[i+2], ink.B, inside)
			}
		}
	}
}

// mix is four parts of a colour under n parts of another one.
func mix(under, over byte, n int) byte {
	return byte((int(under)*(4-n) + int(over)*n) / 4) //nolint:gosec // G115: between the two
}

// covers says whether a point of the square, from 0 to 40, is in the shape.
func (c posterCell) covers(x, y float64) bool {
	const half = side / 2
	round := func(cx, cy, r float64) bool { return (x-cx)*(x-cx)+(y-cy)*(y-cy) <= r*r }
	switch c.shape {
	case 0:
		return round(half, half, half)
	case 1, 2:
		corner := [4][2]float64{{0, 0}, {side, 0}, {side, side}, {0, side}}[c.turn]
		return round(corner[0], corner[1], side)
	case 3:
		switch c.turn {
		case 0:
			return y <= half && round(half, half, half)
		case 1:
			return y >= half && round(half, half, half)
		case 2:
			return x >= half && round(half, 0+half, half)
		}
		return x <= half && round(half, half, half)
	case 4:
		return [4]bool{x+y <= side, x >= y, x+y >= side, y >= x}[c.turn]
	case 5:
		along := y
		if c.turn%2 == 1 {
			along = x
		}
		return along >= 4 && along < 10 || along >= 17 && along < 23 || along >= 30 && along < 36
	}
	return false
}
