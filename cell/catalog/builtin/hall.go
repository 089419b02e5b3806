package builtin

import (
	"fmt"
	"math"
	"strconv"

	"guichet/cell/catalog"
	"guichet/cell/client"
)

// seated are the events that sell seats, by their id here.
var seated = map[string]func() *client.Seating{"gb-wigmore": recitalHall}

// withSeats gives an event of the catalogue its seating plan.
func withSeats(r catalog.Row) catalog.Row {
	if plan := seated[r.SourceID]; plan != nil && r.Err == nil {
		r.Event.Seating = plan()
	}
	return r
}

// Measures of the hall, in the plan's unit: a seat is 25 wide.
const (
	seatWidth  = 25.0
	rowDepth   = 32.0
	aisleWidth = 45.0
	bend       = 1400.0 // how far the row's circle is wide: seats look at the stage
	hallWidth  = 760.0
)

// block is a part of the hall: rows of so many seats, half of them on each side of
// the middle aisle.
type block struct {
	category string
	letters  string
	perRow   int
}

// recitalHall is a made-up plan of a small hall: stalls of three prices with a
// middle aisle, and a balcony.
func recitalHall() *client.Seating {
	s := &client.Seating{
		Plan: client.SeatingPlan{
			Name: "Recital hall", Size: &client.PlanSize{Width: hallWidth, Height: 1100},
			Categories: []client.PlanCategory{{Name: "Front stalls", Color: "#B3261E"}, {Name: "Stalls", Color: "#1E66B3"}, {Name: "Rear stalls", Color: "#2E7D32"}, {Name: "Balcony", Color: "#6A1B9A"}},
		},
		Focus: &client.PlanPoint{X: hallWidth / 2, Y: 0},
	}
	stage := client.PlanArea{
		Shape: "rectangle", Color: "#EEEEEE", BorderColor: "#999999", Position: client.PlanPoint{X: hallWidth/2 - 150}, Rectangle: &client.PlanSize{Width: 300, Height: 90},
		Text: &client.PlanText{Position: client.PlanPoint{X: 150, Y: 45}, Text: "Stage"},
	}
	stalls := zone("Stalls", 130, block{"Front stalls", "ABCDEF", 18}, block{"Stalls", "GHJKLMN", 20}, block{"Rear stalls", "PQRSTU", 22})
	stalls.Areas = []client.PlanArea{stage}
	s.Plan.Zones = []client.PlanZone{stalls, zone("Balcony", 860, block{"Balcony", "ABCD", 20})}
	for _, c := range s.Plan.Categories {
		s.Categories = append(s.Categories, client.SeatCategory{Category: c.Name, TicketTypes: []string{c.Name}})
	}
	for _, end := range []string{"1", "22"} { // at the doors, with a companion beside
		beside := map[string]string{"1": "2", "22": "21"}[end]
		s.Accessible = append(s.Accessible, "Stalls-U-"+end)
		s.Companions = append(s.Companions, client.Companion{SeatID: "Stalls-U-" + beside, With: "Stalls-U-" + end})
	}
	s.House = []string{"Stalls-G-9", "Stalls-G-10"} // the composer's
	return s
}

func zone(name string, top float64, blocks ...block) client.PlanZone {
	z := client.PlanZone{Name: name, Position: client.PlanPoint{X: hallWidth / 2, Y: top}}
	row := 0
	for _, b := range blocks {
		for _, letter := range b.letters {
			r := client.PlanRow{Number: string(letter), Position: client.PlanPoint{Y: float64(row) * rowDepth}}
			for i := range b.perRow {
				x := (float64(i) - float64(b.perRow-1)/2) * seatWidth
				x += math.Copysign(aisleWidth/2, x)
				y := -(bend - math.Sqrt(bend*bend-x*x))
				r.Seats = append(r.Seats, client.PlanSeat{
					Number: strconv.Itoa(i + 1), GUID: fmt.Sprintf("%s-%c-%d", name, letter, i+1), Category: b.category,
					Position: client.PlanPoint{X: math.Round(x*10) / 10, Y: math.Round(y*10) / 10},
				})
			}
			z.Rows = append(z.Rows, r)
			row++
		}
	}
	return z
}
