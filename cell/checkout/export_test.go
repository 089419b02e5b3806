package checkout

// SetCodes lets a test choose the codes of new orders.
func (s *Service) SetCodes(next func() string) { s.newCode = next }

// TakeBack is takeBack, for its rule.
func TakeBack(left, items []PaperTaxes, amount int64) []PaperTaxes {
	return takeBack(left, items, amount)
}
