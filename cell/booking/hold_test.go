package booking_test

import (
	"reflect"
	"testing"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
)

// Every field of an item counts, also one that is added later.
func TestHoldItem_isTheSameOnlyInEverything(t *testing.T) {
	t.Parallel()
	event := id.NewEvent("euw3")
	other := map[reflect.Type]any{
		reflect.TypeFor[id.TicketType](): id.NewTicketType(event), reflect.TypeFor[id.Allocation](): id.NewAllocation(event),
		reflect.TypeFor[money.Money](): money.Money{Amount: 1}, reflect.TypeFor[[]booking.HeldSeat](): make([]booking.HeldSeat, 1),
		reflect.TypeFor[string](): "x", reflect.TypeFor[int64](): int64(1), reflect.TypeFor[bool](): true, reflect.TypeFor[booking.Buyer](): booking.Buyer("b"),
	}
	if a, b := (booking.HoldItem{}), (booking.HoldItem{}); !a.Same(&b) {
		t.Error("two empty items are not the same")
	}
	for i := range reflect.TypeFor[booking.HoldItem]().NumField() {
		var a, b booking.HoldItem
		f := reflect.ValueOf(&b).Elem().Field(i)
		f.Set(reflect.ValueOf(other[f.Type()]))
		if a.Same(&b) || b.Same(&a) {
			t.Errorf("an item with another %s is the same", reflect.TypeFor[booking.HoldItem]().Field(i).Name)
		}
	}
}
