//go:build unix

package main

import (
	"os"
	"testing"
)

// The exit codes of the client commands: what scripts see.
func TestExitCodes(t *testing.T) {
	file := write(t, "users.yaml", user(t, "ann", "one"))
	conf := write(t, "hoofbeat.yaml", "rules:\n  - {allow: [send], destination: /queue/a, authenticated: true}\n")
	s := serve(t, []string{"HOOFBEAT_AUTH_ANONYMOUS=true", "HOOFBEAT_AUTH_USERS_FILE=" + file}, "-c", conf)
	env := []string{"HOOFBEAT_URL=" + s.url}
	run(t, 0, env, "pub", "/queue/a", "hello", "--login", "ann", "--passcode", "one")
	run(t, 2, env, "config", "check", "-c", "/nonexistent.yaml")
	run(t, 2, env, "pub")
	run(t, 3, env, "pub", "/topic/a", "hello", "--login", "ann", "--passcode", "two")
	run(t, 3, env, "pub", "/topic/a", "hello")

	sub := s.sub(t, env, "/topic/a")
	sub.Signal(t, os.Interrupt)
	sub.Exit(t, 0)
}
