package wallet

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/sha1" //nolint:gosec // Apple's manifest is SHA-1 by its format; what protects it is the signature
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"

	"github.com/smallstep/pkcs7"
)

// AppleMedia is the type of a pass file.
const AppleMedia = "application/vnd.apple.pkpass"

// Apple signs pass files (Wallet Passes: "Building a Pass", "Signing").
type Apple struct {
	typeID, team, organization string
	certificate                *x509.Certificate
	between                    *x509.Certificate // Apple's WWDR certificate
	key                        crypto.PrivateKey
}

// NewApple makes the signer of a pass type ("pass.org.example.tickets") from PEM:
// the pass type's certificate with its private key, and Apple's intermediate.
func NewApple(typeID, team, organization string, certificateAndKey, wwdr []byte) (*Apple, error) {
	if typeID == "" || team == "" {
		return nil, ErrKeys.With("a pass type and a team are needed")
	}
	pair, err := tls.X509KeyPair(certificateAndKey, certificateAndKey)
	if err != nil {
		return nil, ErrKeys.With("the pass type's certificate and key cannot be used")
	}
	block, _ := pem.Decode(wwdr)
	if block == nil {
		return nil, ErrKeys.With("Apple's intermediate certificate is no PEM")
	}
	between, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, ErrKeys.With("Apple's intermediate certificate cannot be read")
	}
	return &Apple{typeID: typeID, team: team, organization: organization, certificate: pair.Leaf, between: between, key: pair.PrivateKey}, nil
}

type field struct {
	Key   string `json:"key"`
	Label string `json:"label,omitempty"`
	Value string `json:"value"`
	Date  string `json:"dateStyle,omitempty"`
	Time  string `json:"timeStyle,omitempty"`
	Local bool   `json:"ignoresTimeZone,omitempty"` // shown on the venue's clock
}

// File is the signed pass of a ticket.
func (a *Apple) File(p Pass) ([]byte, error) {
	description, err := json.Marshal(a.describe(p))
	if err != nil {
		return nil, fmt.Errorf("describe pass: %w", err)
	}
	files := map[string][]byte{"pass.json": description, "icon.png": icon(29), "icon@2x.png": icon(58), "icon@3x.png": icon(87)}
	sums := map[string]string{}
	for name, content := range files {
		sum := sha1.Sum(content) //nolint:gosec // see above
		sums[name] = hex.EncodeToString(sum[:])
	}
	manifest, err := json.Marshal(sums)
	if err != nil {
		return nil, fmt.Errorf("describe pass: %w", err)
	}
	files["manifest.json"] = manifest
	if files["signature"], err = a.sign(manifest); err != nil {
		return nil, err
	}
	return pack(files)
}

func (a *Apple) describe(p Pass) map[string]any {
	back := []field{{Key: "order", Label: "Order", Value: p.OrderCode}}
	if p.Attendee != "" {
		back = append(back, field{Key: "attendee", Label: "Attendee", Value: p.Attendee})
	}
	pass := map[string]any{
		"formatVersion": 1, "passTypeIdentifier": a.typeID, "teamIdentifier": a.team, "organizationName": a.organization, "serialNumber": p.Serial,
		"description": p.Event, "relevantDate": p.at(p.StartsAt), "backgroundColor": "rgb(29,78,216)", "foregroundColor": "rgb(255,255,255)", "labelColor": "rgb(219,234,254)",
		"barcodes": []map[string]string{{"format": "PKBarcodeFormatQR", "message": p.Barcode, "messageEncoding": "iso-8859-1"}},
		"eventTicket": map[string][]field{
			"primaryFields":   {{Key: "event", Value: p.Event}},
			"secondaryFields": {{Key: "venue", Label: "Where", Value: p.Venue}},
			"auxiliaryFields": {
				{Key: "starts", Label: "When", Value: p.at(p.StartsAt), Date: "PKDateStyleMedium", Time: "PKDateStyleShort", Local: true},
				{Key: "type", Label: "Ticket", Value: p.Type},
			},
			"backFields": back,
		},
	}
	if p.EndsAt != nil {
		pass["expirationDate"] = p.at(*p.EndsAt)
	}
	if p.Located {
		pass["locations"] = []map[string]float64{{"latitude": p.Lat, "longitude": p.Lon}}
	}
	return pass
}

// sign is a detached PKCS #7 signature with the chain up to Apple's root.
func (a *Apple) sign(manifest []byte) ([]byte, error) {
	signed, err := pkcs7.NewSignedData(manifest)
	if err != nil {
		return nil, fmt.Errorf("sign pass: %w", err)
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := signed.AddSignerChain(a.certificate, a.key, []*x509.Certificate{a.between}, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, fmt.Errorf("sign pass: %w", err)
	}
	signed.Detach()
	out, err := signed.Finish()
	if err != nil {
		return nil, fmt.Errorf("sign pass: %w", err)
	}
	return out, nil
}

func pack(files map[string][]byte) ([]byte, error) {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range names {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			return nil, fmt.Errorf("pack pass: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack pass: %w", err)
	}
	return out.Bytes(), nil
}

// icon is a ticket with a torn edge, which Apple requires a pass to have.
func icon(side int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	paper, ground := color.RGBA{255, 255, 255, 255}, color.RGBA{29, 78, 216, 255}
	for y := range side {
		for x := range side {
			inside := x > side/8 && x < side-side/8 && y > side/4 && y < side-side/4
			torn := x > side*5/8-max(side/40, 1) && x < side*5/8+max(side/40, 1) && y*16/side%2 == 0
			if inside && !torn {
				img.SetRGBA(x, y, paper)
			} else {
				img.SetRGBA(x, y, ground)
			}
		}
	}
	var out bytes.Buffer
	_ = png.Encode(&out, img) // a buffer takes everything
	return out.Bytes()
}
