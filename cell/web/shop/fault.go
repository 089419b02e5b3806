package shop

// fault is what is wrong with a form: which field, by its id in the page, and what.
type fault struct{ field, text string }

// faultOf is what is wrong with one field, "" for nothing.
func faultOf(faults []fault, field string) string {
	for _, f := range faults {
		if f.field == field {
			return f.text
		}
	}
	return ""
}

// describedBy is the id of a field's error, for aria-describedby; "" without one.
func describedBy(faults []fault, field string) string {
	if faultOf(faults, field) == "" {
		return ""
	}
	return field + "-error"
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// markSVG is the sign of the house: a ticket.
const markSVG = `<svg aria-hidden="true" focusable="false" width="28" height="20" viewBox="0 0 28 20"><path fill="currentColor" d="M2 0h24a2 2 0 0 1 2 2v4.5a3.5 3.5 0 0 0 0 7V18a2 2 0 0 1-2 2H2a2 2 0 0 1-2-2v-4.5a3.5 3.5 0 0 0 0-7V2a2 2 0 0 1 2-2zm16.5 3v3h1.5V3zm0 5.5v3h1.5v-3zm0 5.5v3h1.5v-3z" fill-rule="evenodd"/></svg>`

const lensSVG = `<svg aria-hidden="true" focusable="false" width="20" height="20" viewBox="0 0 20 20"><path fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" d="M13.5 13.5 18 18M2 8.5a6.5 6.5 0 1 0 13 0 6.5 6.5 0 1 0-13 0"/></svg>`
