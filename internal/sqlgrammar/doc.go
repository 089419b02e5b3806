// Package sqlgrammar holds the test that reads every SQL statement of the
// project with CockroachDB's own grammar. It exports nothing. The test keeps
// three rules:
//
//   - a statement uses only what CockroachDB and PostgreSQL do alike
//     (allow_test.go is the list, node by node, function by function);
//   - a schema is touched by its own store file alone: booking.event by
//     cell/store/booking*.go and by migrations NNNN_booking*.sql;
//   - SQL is constant text. What is put together at run time cannot be read
//     here, so it is refused.
//
// The parser knows grammar only: whether a table or a column exists is for the
// stores' own tests on a real database to say. It costs more than a minute of
// CPU to compile once, which is why this test stands in a package of its own.
package sqlgrammar
