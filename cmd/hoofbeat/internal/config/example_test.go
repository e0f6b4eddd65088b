package config_test

import (
	"fmt"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

func ExampleLoad() {
	c, err := config.Load(config.Sources{Env: []string{"HOOFBEAT_LIMITS_FRAME=1MiB", "HOOFBEAT_LIMITS_OUTBOX=off"}})
	if err != nil {
		fmt.Println(err) // every bad key, each with its place
		return
	}
	fmt.Println(c.Listen, c.Limits.Frame, c.Limits.Outbox == config.Off)

	_, err = config.Load(config.Sources{Env: []string{"HOOFBEAT_LIMIT_FRAME=1MiB"}})
	fmt.Println(err)
	// Output:
	// 127.0.0.1:8080 1MiB true
	// environment: HOOFBEAT_LIMIT_FRAME: there is no such variable, did you mean HOOFBEAT_LIMITS_FRAME?
}
