package render

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func bill() Bill {
	return Bill{
		Title: "Invoice EUW3-I-000042", IssuedAt: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC), Country: "JP",
		Seller: []string{"Pleyel SA", "252 rue du Faubourg", "Tax ID FR123"}, Buyer: []string{"Zoë Łukasiewicz"}, About: []string{"Order K3V9X", "第九 Nuit, 7 November 2026"},
		Lines: []BillLine{{"2", "Floor", "42.50 EUR", "85.00 EUR"}, {"1", "バルコニー", "10.00 EUR", "10.00 EUR"}},
		Taxes: []BillLine{{Name: "5.5 %", Each: "90.05 EUR", Total: "4.95 EUR"}}, Total: "95.00 EUR", Note: "Paid.",
	}
}

func TestBill_saysWhatATaxOfficeNeeds(t *testing.T) {
	t.Parallel()
	out, err := billDocument(bill(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Invoice EUW3-I-000042", "Issued 1 May 2026", "Pleyel SA", "Tax ID FR123", "Zoë Łukasiewicz", "Order K3V9X", "Floor", "42.50 EUR", "85.00 EUR", "5.5 %", "4.95 EUR", "Total", "95.00 EUR", "Paid."} {
		if !shows(out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if shows(out, "Some letters could not be printed") {
		t.Error("Japanese is not printed")
	}
	again, err := BillPDF(bill())
	if err != nil {
		t.Fatal(err)
	}
	if third, err := BillPDF(bill()); err != nil || !bytes.Equal(again, third) {
		t.Errorf("the same bill is another file: %v", err)
	}
}

func TestBill_goesOnOnTheNextPage(t *testing.T) {
	t.Parallel()
	b := bill()
	b.Lines = nil
	for i := range 120 {
		b.Lines = append(b.Lines, BillLine{"1", fmt.Sprintf("line %d", i), "1.00 EUR", "1.00 EUR"})
	}
	out, err := billDocument(b, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Lines {
		if !shows(out, fmt.Sprintf("line %d", i)) {
			t.Errorf("line %d is missing", i)
		}
	}
	if !shows(out, b.Title+", page 3") || !shows(out, "95.00 EUR") {
		t.Error("no third page, or no total")
	}
	b.Lines = make([]BillLine, MaxBillLines+1)
	if _, err := BillPDF(b); !errors.Is(err, ErrTooLong) {
		t.Errorf("%v", err)
	}
}

func FuzzBill_takesWhatStrangersTyped(f *testing.F) {
	f.Add("Zoë\r\n", strings.Repeat("第", 500), "\xff")
	f.Fuzz(func(t *testing.T, name, line, reason string) {
		b := bill()
		b.Buyer, b.About, b.Lines[0].Name = []string{name}, []string{reason}, line
		if out, err := BillPDF(b); err != nil || !bytes.HasPrefix(out, []byte("%PDF-")) {
			t.Fatal(err)
		}
	})
}
