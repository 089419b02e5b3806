package render

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"sync"

	"rsc.io/qr/coding"

	"guichet/cell/ticket"
)

// pngPixels is the width and height of a barcode's PNG.
const pngPixels = 512

// quiet is the width of the white frame around a code, which scanners need (ISO/IEC 18004, 6.3.8).
const quiet = 4

// plans are layouts of codes by version, which depend on nothing else.
var plans [coding.MaxVersion + 1]func() (*coding.Plan, error)

func init() {
	for v := coding.Version(coding.MinVersion); v <= coding.MaxVersion; v++ {
		plans[v] = sync.OnceValues(func() (*coding.Plan, error) { return coding.NewPlan(v, coding.M, 0) })
	}
}

// code is a barcode's QR code of medium redundancy with its quiet zone, in rows; true is black.
func code(barcode string) ([][]bool, error) {
	if _, err := ticket.Peek(barcode); err != nil {
		return nil, fmt.Errorf("draw barcode: %w", err)
	}
	text := coding.String(barcode)
	for v := coding.Version(coding.MinVersion); v <= coding.MaxVersion; v++ {
		if text.Bits(v) > v.DataBytes(coding.M)*8 {
			continue
		}
		plan, err := plans[v]()
		if err != nil {
			return nil, fmt.Errorf("draw barcode: %w", err)
		}
		drawn, err := plan.Encode(text)
		if err != nil {
			return nil, fmt.Errorf("draw barcode: %w", err)
		}
		rows := make([][]bool, drawn.Size+2*quiet)
		for y := range rows {
			rows[y] = make([]bool, len(rows))
			for x := range rows[y] {
				rows[y][x] = drawn.Black(x-quiet, y-quiet)
			}
		}
		return rows, nil
	}
	return nil, fmt.Errorf("draw barcode: %w", ticket.ErrMalformed)
}

// PNG is the barcode as a black and white QR code with its quiet zone.
func PNG(barcode string) ([]byte, error) {
	rows, err := code(barcode)
	if err != nil {
		return nil, err
	}
	side := pngPixels / len(rows)
	if side == 0 {
		return nil, fmt.Errorf("draw barcode: %w", ticket.ErrMalformed)
	}
	frame := (pngPixels - side*len(rows)) / 2
	picture := image.NewPaletted(image.Rect(0, 0, pngPixels, pngPixels), color.Palette{color.White, color.Black})
	for y := range pngPixels {
		row := (y - frame) / side
		if y < frame || row >= len(rows) {
			continue
		}
		for x := frame; x < frame+side*len(rows); x++ {
			if rows[row][(x-frame)/side] {
				picture.Pix[y*picture.Stride+x] = 1
			}
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		return nil, fmt.Errorf("draw barcode: %w", err)
	}
	return out.Bytes(), nil
}
