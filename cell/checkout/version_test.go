package checkout_test

import (
	"os"
	"testing"

	"guichet/cell/checkout"
)

// A purchase that began with the flow of before LetGo goes on with its own text at a
// process that begins new ones with another: paid, or decided when the provider is back.
func TestVersions_purchaseGoesOnWithTheTextItBeganWith(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 3)
	text, err := os.ReadFile("testdata/before/purchase.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := tw.desks[0].Runs.Define(checkout.PurchaseFlow, text); err != nil {
		t.Fatal(err)
	}
	bought, abandoned := tw.order(t, tw.floor, 1), tw.unprepared(t, 1, true)
	tw.runOut(t, abandoned.ID)
	for process := range tw.desks {
		if err := tw.reconcile(t.Context(), process); err == nil {
			t.Error("the provider is not away")
		}
	}
	if now := tw.look(t, abandoned.ID); now.State != checkout.Pending {
		t.Errorf("by its text it waits for the provider, and is %s", now.State)
	}
	tw.isBack(t)
	tw.await(t, abandoned.ID, checkout.Expired)
	tw.mustConfirm(t, bought, visa)
	tw.await(t, bought.ID, checkout.Paid)
	all := tw.intents(t)
	if len(all) != 2 {
		t.Errorf("%d payments of two orders", len(all))
	}
	tw.paid(t, tw.floor, 2)
}
