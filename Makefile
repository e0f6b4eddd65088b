# Shortcuts. What CI runs is .ci/run; CONTRIBUTING.md explains the rest.
.PHONY: build test lint bench ci

build:
	go build -o bin/hoofbeat ./cmd/hoofbeat

# Tests with real clients are skipped where these are missing.
test:
	go test ./...

# golangci-lint runs as well if it is installed.
lint:
	@bad=$$(git ls-files '*.go' | xargs gofmt -l); [ -z "$$bad" ] || { echo "not gofmt-ed:"; echo "$$bad"; exit 1; }
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	@if command -v golangci-lint >/dev/null; then golangci-lint run; else echo "golangci-lint is not installed: skipped"; fi

bench:
	go test -run '^$$' -bench . -benchmem ./frames ./topics ./auth/... ./broker/...

# Everything, with what it needs installed: as root, on Debian.
ci:
	.ci/run
