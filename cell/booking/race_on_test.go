//go:build race

package booking_test

// raced says that the race detector is on: it allows 8,128 goroutines at once.
const raced = true
