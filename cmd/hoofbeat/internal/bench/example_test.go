package bench_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/bench"
)

func Example() {
	// The server under load: any that runs, here one in this process.
	b, err := broker.New(broker.Options{Authenticator: auth.Anonymous, Authorizer: auth.Open()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	server := httptest.NewServer(b)
	defer server.Close()

	result, err := bench.Run(context.Background(), bench.Config{
		Target: bench.Target{URL: "ws" + strings.TrimPrefix(server.URL, "http") + "/ws"},
		Warmup: 100 * time.Millisecond, Duration: 300 * time.Millisecond,
	}, &bench.Fanout{Subscribers: 10})
	if err != nil {
		fmt.Println(err) // nothing was measured
		return
	}
	// result.Table(os.Stdout) prints all of it.
	fmt.Println(result.Scenario, result.Verdict, result.Check.Lost, "lost")
	// Output: fanout PASS 0 lost
}
