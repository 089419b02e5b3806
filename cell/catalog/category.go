package catalog

import "strings"

// categoryWords map what sources call a category to the few of this house. The
// order decides: the more telling word first, since sources give several.
var categoryWords = []struct{ word, category string }{
	{"comedy", "comedy"},
	{"opera", "opera"},
	{"dance", "dance"},
	{"screening", "film"},
	{"film", "film"},
	{"movie", "film"},
	{"children", "family"},
	{"sport", "sport"},
	{"running", "sport"},
	{"cycling", "sport"},
	{"music", "music"},
	{"concert", "music"},
	{"festival", "festival"},
	{"parade", "festival"},
	{"theat", "theatre"},
	{"tour", "tour"},
	{"walking", "tour"},
	{"nightlife", "nightlife"},
	{"food", "food"},
	{"culinary", "food"},
	{"market", "food"},
	{"talk", "talk"},
	{"literar", "literature"},
	{"exhibit", "exhibition"},
	{"museum", "exhibition"},
	{"visualarts", "exhibition"},
	{"arts", "exhibition"},
	{"workshop", "workshop"},
	{"seminar", "workshop"},
	{"education", "workshop"},
	{"course", "workshop"},
	{"camp", "workshop"},
	{"business", "conference"},
	{"convention", "conference"},
	{"environment", "nature"},
	{"live performance", "theatre"},
	{"celebration", "festival"},
	{"social", "community"},
	{"charity", "community"},
	{"world culture", "community"},
	{"indigenous", "community"},
	{"history", "talk"},
	{"trivia", "nightlife"},
}

// categoryOf picks from the types ("MusicEvent") and then the keywords, which may be
// an array or one text with commas.
func categoryOf(types []string, keywords any) string {
	words := append([]string(nil), types...)
	for _, k := range list(keywords) {
		words = append(words, str(k))
	}
	all := strings.ToLower(strings.Join(words, ","))
	for _, c := range categoryWords {
		if strings.Contains(all, c.word) {
			return c.category
		}
	}
	return "other"
}

// hongKongCategories are the programme codes of the LCSD files, read off their
// programmes; the publisher documents none.
var hongKongCategories = map[string]string{
	"inc4sc1": "music", "inc4sc2": "opera", "inc4sc3": "dance", "inc4sc4": "exhibition", "inc4sc5": "film", "inc4sc6": "theatre",
	"inc4sc7": "theatre", "inc4sc8": "community", "inc4sc9": "music", "inc4sc10": "exhibition", "inc4sc11": "family", "inc4sc12": "community",
	"inc4sc13": "workshop", "inc4sc14": "workshop", "inc6sc1": "film", "inc7sc1": "family", "inc7sc2": "workshop", "inc7sc3": "exhibition",
	"inc7sc4": "family", "inc7sc5": "talk", "inc7sc6": "talk", "inc7sc8": "literature", "inc9sc2": "community", "inc9sc3": "community",
}
