package catalog

import (
	"cmp"
	"path"
	"strings"

	"guichet/cell/client"
)

// known are sources whose terms ask for a credit: it travels with every event
// into the listing, whoever imports the file. Texts as the publishers ask.
var known = map[string]struct {
	source   client.Source
	prefix   string // of the file's name
	timeZone string
	currency string
}{
	"toronto": {
		source: client.Source{
			Name: "City of Toronto Festivals & Events", Licence: "Open Government Licence – Toronto",
			Credit: "Contains information licensed under the Open Government Licence – Toronto.",
		},
		prefix: "toronto_festivals_events", timeZone: "America/Toronto", currency: "CAD",
	},
	"hongkong": {
		source: client.Source{
			Name: "LCSD cultural programmes", Licence: "DATA.GOV.HK terms of use",
			Credit: "Leisure and Cultural Services Department, HKSAR, via DATA.GOV.HK; intellectual property of the Government of the HKSAR",
		},
		prefix: "hongkong_lcsd", timeZone: "Asia/Hong_Kong", currency: "HKD",
	},
	"openfootball": {
		source: client.Source{Name: "openfootball", Licence: "CC0-1.0", Credit: "openfootball"},
	},
}

// knownOf is the known source of a file: the format's own, else by its name.
func (in *input) knownOf(file string) string {
	if in.known != "" {
		return in.known
	}
	base := baseName(file)
	for name, k := range known {
		if k.prefix != "" && strings.HasPrefix(base, k.prefix) {
			return name
		}
	}
	return ""
}

// zoneFor is the time zone of a file's local times: the caller's, else the known source's.
func (in *input) zoneFor(file string) string {
	if in.opts.TimeZone != "" {
		return in.opts.TimeZone
	}
	return known[in.knownOf(file)].timeZone
}

func (in *input) currencyFor(file string) string {
	if in.opts.Currency != "" {
		return in.opts.Currency
	}
	return known[in.knownOf(file)].currency
}

// credit fills the event's source; what the row itself says (a CSV column) stays.
func (in *input) credit(d *draft) {
	s := d.event.Source
	if s == nil {
		s = &client.Source{}
	}
	k := known[in.knownOf(d.file)].source
	s.Name = cmp.Or(s.Name, in.opts.Source.Name, k.Name, strings.TrimSuffix(baseName(d.file), ".gz"))
	s.Licence = cmp.Or(s.Licence, in.opts.Source.Licence, k.Licence)
	s.Credit = cmp.Or(s.Credit, in.opts.Source.Credit, k.Credit)
	s.URL = cmp.Or(s.URL, in.opts.Source.URL)
	s.ID = d.id
	d.event.Source = s
}

func baseName(file string) string { return path.Base(strings.ReplaceAll(file, `\`, "/")) }
