// Package drill breaks a real town on purpose and holds it to the promises of
// cell/doc.go. Its tests open a town of processes (chaos/world), buy tickets,
// kill parts of it with kill -9, send it nonsense, and look at what the people
// outside see. It exports nothing.
//
// GUICHET_DRILL_SEED=n repeats the moments of a run that has printed n;
// GUICHET_DRILL_KEEP=1 leaves the shared town's state and logs to be read.
package drill
