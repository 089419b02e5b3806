package ticket

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"guichet/cell/id"
	"guichet/control-plane/topology"
)

// Prefix begins every barcode and names the version of its format.
const Prefix = "GT1."

// MaxBarcode is the length of the longest barcode that can be right.
const MaxBarcode = 192

// Lengths inside the payload, in bytes.
const (
	keyLen    = 8  // 60 bits of the event
	memberLen = 10 // 80 bits of the ticket, of the type
	timeLen   = 5  // seconds since 1970, good for 34,000 years
)

// encode gives the canonical payload:
//
//	len kid · len birth cell · event 8 · ticket 10 · type 10 · issued 5
//
// 45 bytes for "euw3-1", so that the QR code stays readable on a cracked screen.
func encode(c Claims) []byte {
	ticket, ok := topology.ParseRef(c.Ticket.String())
	kind, ok2 := topology.ParseRef(c.Type.String())
	if !ok || !ok2 || ticket.Key != kind.Key {
		panic(fmt.Sprintf("ticket: claims with ticket %q and type %q", c.Ticket, c.Type))
	}
	seconds := c.IssuedAt.Unix()
	if seconds < 0 || seconds >= 1<<(8*timeLen) {
		panic(fmt.Sprintf("ticket: claims issued at %s", c.IssuedAt))
	}
	var b bytes.Buffer
	for _, s := range []string{c.KeyID, string(ticket.Key.Birth)} {
		b.WriteByte(byte(len(s))) //nolint:gosec // both are shorter than 16
		b.WriteString(s)
	}
	b.Write(pack("0" + ticket.Key.Rand)) // 65 bits; the first is dropped by pack
	b.Write(pack(ticket.Own))
	b.Write(pack(kind.Own))
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(seconds))[8-timeLen:])
	return b.Bytes()
}

// spell writes payload and signature as the text of a barcode.
func spell(payload, signature []byte) string {
	return Prefix + base64.RawURLEncoding.EncodeToString(append(bytes.Clone(payload), signature...))
}

// parse takes a barcode apart. A barcode has one spelling: what parses but would
// be written otherwise is refused, so no scanner's list can be fooled by a
// second spelling of a ticket that was already let in.
func parse(barcode string) (c Claims, payload, signature []byte, err error) {
	text, ok := strings.CutPrefix(barcode, Prefix)
	if !ok || len(barcode) > MaxBarcode {
		return Claims{}, nil, nil, ErrMalformed.With("a barcode begins with %s and has at most %d characters", Prefix, MaxBarcode)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) <= ed25519.SignatureSize {
		return Claims{}, nil, nil, ErrMalformed.With("the barcode is damaged")
	}
	payload, signature = raw[:len(raw)-ed25519.SignatureSize], raw[len(raw)-ed25519.SignatureSize:]
	c, ok = decode(payload)
	// Strict decoding still skips line breaks; writing it again finds them.
	if !ok || !bytes.Equal(encode(c), payload) || spell(payload, signature) != barcode {
		return Claims{}, nil, nil, ErrMalformed.With("the barcode is damaged")
	}
	return c, payload, signature, nil
}

func decode(payload []byte) (Claims, bool) {
	kid, rest, ok := cutText(payload)
	if !ok || !kidPattern.MatchString(kid) {
		return Claims{}, false
	}
	cell, rest, ok := cutText(rest)
	if !ok || len(rest) != keyLen+2*memberLen+timeLen {
		return Claims{}, false
	}
	key := cell + "_" + unpack(rest[:keyLen])[1:]
	rest = rest[keyLen:]
	ticket, err := id.ParseTicket("tkt_" + key + "_" + unpack(rest[:memberLen]))
	if err != nil {
		return Claims{}, false
	}
	kind, err := id.ParseTicketType("typ_" + key + "_" + unpack(rest[memberLen:2*memberLen]))
	if err != nil {
		return Claims{}, false
	}
	var seconds [8]byte
	copy(seconds[8-timeLen:], rest[2*memberLen:])
	at := time.Unix(int64(binary.BigEndian.Uint64(seconds[:])), 0).UTC() //nolint:gosec // 40 bits fit
	return Claims{Ticket: ticket, Type: kind, IssuedAt: at, KeyID: kid}, true
}

// cutText takes a text with its length before it from the front.
func cutText(b []byte) (text string, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}

// pack turns base32 characters into bytes, right-aligned: 13 characters whose
// first is 0 give 8 bytes, 16 give 10.
func pack(s string) []byte {
	out := make([]byte, len(s)*5/8)
	var acc uint64
	bits, at := 0, len(out)
	for i := len(s) - 1; i >= 0 && at > 0; i-- {
		acc |= uint64(strings.IndexByte(topology.Alphabet, s[i])) << bits //nolint:gosec // ids hold the alphabet only
		for bits += 5; bits >= 8 && at > 0; bits -= 8 {
			at--
			out[at] = byte(acc)
			acc >>= 8
		}
	}
	return out
}

// unpack is pack's inverse: 8 bytes give 13 characters, 10 give 16.
func unpack(b []byte) string {
	out := make([]byte, (len(b)*8+4)/5)
	var acc uint64
	bits, at := 0, len(out)
	for _, c := range slices.Backward(b) {
		acc |= uint64(c) << bits
		for bits += 8; bits >= 5; bits -= 5 {
			at--
			out[at] = topology.Alphabet[acc&31]
			acc >>= 5
		}
	}
	if at > 0 {
		out[0] = topology.Alphabet[acc&31]
	}
	return string(out)
}
