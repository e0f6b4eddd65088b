package bench_test

import (
	"context"
	"os"
	"time"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/bench"
)

func Example() {
	measure := func(ctx context.Context) error {
		result, err := bench.Run(ctx, bench.Config{
			Target:   bench.Target{URL: "ws://127.0.0.1:8080/ws"},
			Duration: 5 * time.Second,
		}, &bench.Fanout{Subscribers: 100})
		if err != nil {
			return err // nothing was measured
		}
		return result.Table(os.Stdout)
	}
	_ = measure
}
