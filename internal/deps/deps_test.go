package deps

import (
	_ "github.com/cockroachdb/cockroachdb-parser/pkg/sql/parser"
	_ "github.com/getkin/kin-openapi/openapi3"
	_ "github.com/stripe/stripe-mock/server"
)
