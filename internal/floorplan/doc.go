// Package floorplan holds the tests that keep the doors between rooms: who may
// import whom inside the module, and which room may know which vendor. It
// exports nothing. A new room gets a line here before it gets a file.
package floorplan
