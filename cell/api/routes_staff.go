package api

import (
	"net/http"

	"guichet/cell/client"
)

// staffRoutes are what an organizer's staff do with stock beside selling it.
var staffRoutes = []route{
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/allocations", handle: (*Server).createAllocation, auth: organizer, key: keyRequired, in: client.NewAllocation{}, out: client.Allocation{}, status: 201,
		doc:      "Set stock of a quota aside (a house hold).",
		problems: "invalid_id event_not_found quota_not_found invalid_allocation invalid_quantity invalid_state not_enough_stock too_many_allocations moved",
	},
	{
		method: http.MethodGet, path: "/v1/events/{event_id}/allocations", handle: (*Server).listAllocations, auth: organizer, out: Page[client.Allocation]{}, status: 200, params: page,
		doc: "The event's allocations, closed ones included.", problems: "invalid_id event_not_found invalid_cursor invalid_parameter moved",
	},
	{
		method: http.MethodGet, path: "/v1/events/{event_id}/allocations/{allocation_id}", handle: (*Server).getAllocation, auth: organizer, out: client.AllocationDetail{}, status: 200,
		doc: "An allocation with the newest 100 holds made from it.", problems: "invalid_id event_not_found allocation_not_found moved",
	},
	{
		method: http.MethodDelete, path: "/v1/events/{event_id}/allocations/{allocation_id}", handle: (*Server).closeAllocation, auth: organizer, status: 204,
		doc: "Give the rest back to the public, for good. Doing it again changes nothing.", problems: "invalid_id event_not_found allocation_not_found moved",
	},
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/allocations/{allocation_id}/release", handle: (*Server).releaseAllocation, auth: organizer, key: keyRequired, in: client.ReleaseAllocation{}, out: client.Allocation{}, status: 200,
		doc: "Give a part back to the public.", problems: "invalid_id event_not_found allocation_not_found allocation_too_small invalid_quantity moved",
	},
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/allocations/{allocation_id}/holds", handle: (*Server).holdAllocated, auth: organizer, key: keyRequired, in: client.NewNamedHold{}, out: client.NamedHold{}, status: 201,
		doc:      "Turn a part into a hold for a named buyer. When the hold ends unsold, the stock is set aside again.",
		problems: "invalid_id event_not_found allocation_not_found allocation_too_small allocation_mismatch invalid_allocation invalid_quantity unknown_ticket_type too_many not_on_sale not_enough_stock moved",
	},
}
