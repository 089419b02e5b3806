package api

import (
	"net/http"

	"guichet/cell/access"
	"guichet/cell/client"
)

// staffRoutes are what an organizer's staff do with stock beside selling it.
var staffRoutes = []route{
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/allocations", handle: (*Server).createAllocation, auth: organizer, need: access.WriteEvents, key: keyRequired, in: client.NewAllocation{}, out: client.Allocation{}, status: 201,
		doc:      "Set stock of a quota aside (a house hold).",
		problems: "invalid_id event_not_found quota_not_found invalid_allocation invalid_quantity invalid_state not_enough_stock too_many_allocations moved",
	},
	{
		method: http.MethodGet, path: "/v1/events/{event_id}/allocations", handle: (*Server).listAllocations, auth: organizer, need: access.ReadEvents, out: Page[client.Allocation]{}, status: 200, params: page,
		doc: "The event's allocations, closed ones included.", problems: "invalid_id event_not_found invalid_cursor invalid_parameter moved",
	},
	{
		method: http.MethodGet, path: "/v1/events/{event_id}/allocations/{allocation_id}", handle: (*Server).getAllocation, auth: organizer, need: access.ReadEvents, out: client.AllocationDetail{}, status: 200,
		doc: "An allocation with the newest 100 holds made from it.", problems: "invalid_id event_not_found allocation_not_found moved",
	},
	{
		method: http.MethodDelete, path: "/v1/events/{event_id}/allocations/{allocation_id}", handle: (*Server).closeAllocation, auth: organizer, need: access.WriteEvents, status: 204,
		doc: "Give the rest back to the public, for good. Doing it again changes nothing.", problems: "invalid_id event_not_found allocation_not_found moved",
	},
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/allocations/{allocation_id}/release", handle: (*Server).releaseAllocation, auth: organizer, need: access.WriteEvents, key: keyRequired, in: client.ReleaseAllocation{}, out: client.Allocation{}, status: 200,
		doc: "Give a part back to the public.", problems: "invalid_id event_not_found allocation_not_found allocation_too_small invalid_quantity moved",
	},
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/allocations/{allocation_id}/holds", handle: (*Server).holdAllocated, auth: organizer, need: access.WriteEvents, key: keyRequired, in: client.NewNamedHold{}, out: client.NamedHold{}, status: 201,
		doc:      "Turn a part into a hold for a named buyer. When the hold ends unsold, the stock is set aside again.",
		problems: "invalid_id event_not_found allocation_not_found allocation_too_small allocation_mismatch invalid_allocation invalid_quantity unknown_ticket_type too_many not_on_sale not_enough_stock moved",
	},
	{
		method: http.MethodPost, path: "/v1/organizers/{organizer_id}/series", handle: (*Server).createSeries, auth: organizer, need: access.WriteEvents, key: keyRequired, in: client.NewSeries{}, out: client.Series{}, status: 201,
		doc:      "Make a series of events at a cell of the region. While its state is making the cell goes on with the occurrences; the same call with the same key says how far it is.",
		params:   []param{{"home_region", "string", "default: the organizer's"}},
		problems: "invalid_id invalid_series invalid_event amount_not_chargeable series_too_long unknown_region moved",
	},
	{
		method: http.MethodGet, path: "/v1/series/{series_id}", cached: true, handle: (*Server).getSeries, mayAuth: true, need: access.ReadEvents, out: client.Series{}, status: 200,
		doc: "The series, and how far it is.", problems: "invalid_id series_not_found moved",
	},
	{
		method: http.MethodPost, path: "/v1/series/{series_id}/publish", handle: (*Server).publishSeries, auth: organizer, need: access.WriteEvents, out: client.Series{}, status: 200,
		doc: "Put all occurrences before the public, but for those that are over. Doing it again finds those that are drafts.", problems: "invalid_id series_not_found series_unfinished moved",
	},
	{
		method: http.MethodGet, path: "/v1/series/{series_id}/occurrences", cached: true, handle: (*Server).listOccurrences, mayAuth: true, need: access.ReadEvents, out: Page[client.Occurrence]{}, status: 200,
		doc: "The series' events in order of their starts; drafts are there for the organizer only.", problems: "invalid_id series_not_found invalid_parameter invalid_cursor moved",
		params: append([]param{{"from", "string", "date or RFC 3339 time"}, {"to", "string", "date or RFC 3339 time, not included"}}, page...),
	},
}
