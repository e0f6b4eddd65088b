package app_test

import (
	"context"
	"fmt"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/app"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

func Example() {
	c := config.Default()
	c.Listen, c.Admin = "127.0.0.1:0", "" // a port that is free, and no admin API
	a, err := app.New(app.Options{Config: c})
	if err != nil {
		fmt.Println(err) // something in the configuration
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fmt.Println(a.Run(ctx)) // until ctx ends, then drained
	// Output: <nil>
}
