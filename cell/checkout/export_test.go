package checkout

// SetCodes lets a test choose the codes of new orders.
func (s *Service) SetCodes(next func() string) { s.newCode = next }

// Portions is portions, for its rule.
func Portions(all []PaperTaxes, given, amount, whole int64) []PaperTaxes {
	return portions(all, given, amount, whole)
}
