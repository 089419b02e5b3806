// Package town opens a whole town on one machine: a database per cell, the
// payment sandbox, the control plane with the hub, the cells and the router,
// each a process of its own, so that killing one is real. It supervises them,
// and it knows no room of theirs: it sets their environment, watches /readyz and
// speaks HTTP as anybody could.
//
// A process that dies does not bring the town down; it is named and stays dead
// until `guichet town restart NAME` (or --restart-after). Closing the town stops
// all of them in order, and should the supervisor itself be killed, the kernel
// stops them.
package town
