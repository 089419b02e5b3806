package catalog

import (
	"guichet/cell/money"
	"guichet/geo"
)

// Limits of what is read.
const (
	MaxRows      = 1_000_000 // of one Read
	MaxElement   = 1 << 20   // bytes of one row or element
	MaxFile      = 1 << 30   // bytes of one file, unpacked
	maxName      = 200       // characters, as the cell accepts them
	maxSummary   = 600
	maxTypes     = 20
	maxCapacity  = 1_000_000
	maxYearsAway = 10
	maxPerOrder  = 1000 // as the cell accepts it
)

// Note says that something was assumed because the data does not say it.
type Note string

// The notes, as the summary counts them.
const (
	NoteShifted   Note = "date moved ahead by whole weeks"
	NotePrice     Note = "price assumed"
	NoteFree      Note = "free admission assumed"
	NoteCapacity  Note = "capacity assumed"
	NoteLocation  Note = "location is only the city's"
	NoteCity      Note = "city taken from the coordinates"
	NoteHour      Note = "start hour assumed"
	NoteEnd       Note = "end before start dropped"
	NoteZone      Note = "time zone taken from the coordinates"
	NoteShortened Note = "text shortened"
	NoteDates     Note = "only the dates of the next year are taken"
	NoteEncoding  Note = "text read as Windows-1252"
)

// What is assumed where the data says nothing. docs/import.md repeats these.
const (
	DefaultCapacity = 200 // tickets of an event whose venue's size is unsaid
	DefaultHour     = 10  // local hour of an event with a date only

	HongKongHallCapacity = 800 // a priced performance
	HongKongRoomCapacity = 100 // anything else: classes, exhibitions, library talks
	HongKongHour         = 10
)

// HongKongCentre stands for venues of the Hong Kong files without coordinates.
var HongKongCentre = geo.Point{Lat: 22.3193, Lon: 114.1694}

// defaultPrices are what a ticket costs when the data says neither a price nor
// that it is free, in minor units.
var defaultPrices = map[string]int64{
	"EUR": 2500, "USD": 2500, "CAD": 2500, "GBP": 2000, "AUD": 3500, "CHF": 3000, "HKD": 15000,
	"JPY": 3500, "KRW": 30000, "KWD": 8000, "TND": 25000,
}

// defaultPrice is 25 major units for currencies without a line above.
func defaultPrice(currency string) (money.Money, error) {
	if amount, ok := defaultPrices[currency]; ok {
		return money.New(amount, currency)
	}
	return money.Parse("25", currency)
}

// worldCupCategory is a price class of openfootball's matches, which state neither
// prices nor classes: a share of the stadium and a price in US dollars.
type worldCupCategory struct {
	name     string
	percent  int64
	usdCents int64
}

var worldCupCategories = []worldCupCategory{
	{"Category 1", 25, 40000},
	{"Category 2", 30, 25000},
	{"Category 3", 35, 14000},
	{"Category 4", 10, 6000},
}
