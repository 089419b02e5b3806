package checkout

// SetCodes lets a test choose the codes of new orders.
func (s *Service) SetCodes(next func() string) { s.newCode = next }

// Share is share, for its table.
func Share(amount, part, whole int64) int64 { return share(amount, part, whole) }

// Portions is portions, for its rule.
func Portions(all []PaperTaxes, given, amount, whole int64) []PaperTaxes {
	return portions(all, given, amount, whole)
}
