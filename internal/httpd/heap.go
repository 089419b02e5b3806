package httpd

// spare is how much a process may allocate between two collections on top of what
// Go's own rule allows, in bytes.
const spare = 64 << 20

// ballast lives as long as the process and is never touched: it takes addresses, and
// no memory.
var ballast []byte

// CollectSeldom lets the collector of garbage come less often. Go collects when the
// heap is twice what lives, and of a process that answers requests little lives: with
// a hot event it took an eighth of the process's work.
// What is kept here counts as living, so the process takes at most spare more than
// without, whatever else it holds: a higher GOGC would multiply what a big heap takes,
// and a memory limit would let the collector run all the time when more lives than that.
func CollectSeldom() {
	if ballast == nil {
		ballast = make([]byte, spare)
	}
}
