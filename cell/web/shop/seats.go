package shop

import "net/url"

// seatsAgain shows the map of seats again with what is wrong.
func (v *visit) seatsAgain(id string, form url.Values, faults []fault) (answer, error) {
	form.Del("seat")
	form.Del("map")
	return v.refused(id, form, faults...)
}
