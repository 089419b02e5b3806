.PHONY: run demo build test race bench bench-desk bench-checkout drills lint fmt clean
run: build ; @./bin/guichet town $(if $(FRESH),--fresh) $(if $(IDENTITY),--identity $(IDENTITY)) $(if $(DATABASE),--database $(DATABASE)) $(ARGS)
demo: build ; @./bin/guichet demo $(ARGS)
build: ; @mkdir -p bin && go build -o bin/ ./cmd/...
test: ; @go run ./internal/testdb/cmd/with-postgres -- go run ./internal/testcount go test -json $(or $(PKG),./...)
race: ; @go run ./internal/testdb/cmd/with-postgres -- go run ./internal/testcount go test -race -json $(or $(PKG),./...)
bench: build ; @./bin/guichet bench --open --out docs/bench/town.md && go run ./internal/testdb/cmd/with-postgres -- go test -run '^$$$$' -bench '$(or $(BENCH),.)' -benchtime $(or $(TIMES),100x) -timeout 30m $(or $(PKG),./cell/search/... ./router/...)
bench-desk bench-checkout: bench-%: ; @mkdir -p bin && go test -c -o bin/$*bench.test ./cell/api/$*bench && sync && cd cell/api/$*bench && GUICHET_BENCH_FILE=$(CURDIR)/docs/bench/$*.md $(CURDIR)/bin/$*bench.test -test.run '^$$$$' -test.bench . -test.benchtime 1x -test.timeout 20m
drills: build ; @./bin/guichet drill run --open --out dist/drills $(or $(D),all) $(ARGS)
lint: ; @.ci/lint run $(or $(PKG),./...)
fmt: ; @.ci/lint fmt
clean: ; @rm -rf bin dist .cache
