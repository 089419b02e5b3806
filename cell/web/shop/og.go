package shop

// eventPicture is the event's Open Graph picture.
func (v *visit) eventPicture(id string) (answer, error) {
	return answer{}, errNoPage
}
