//go:build unix

package main

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// With --store-dir the messages of queues outlive SIGTERM and kill -9. Without
// it they end with the broker.
func TestQueuesOfTheBinaryAreKept(t *testing.T) {
	s := serveWith(t, process.Options{Restartable: true, Args: []string{"--store-dir", filepath.Join(t.TempDir(), "store")}})
	pub := func(body string) {
		t.Helper()
		run(t, 0, nil, "pub", "-u", s.tcp, "/queue/jobs", body)
	}
	again := func() {
		t.Helper()
		next := s.Restart(t)
		s = &server{next, next.URL, next.Admin, next.TCP}
	}
	pub("1")
	pub("2")
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	again()
	pub("3")
	s.Kill(t)
	again()
	if got := run(t, 0, nil, "sub", "-u", s.url, "/queue/jobs", "--count", "3").Stdout(); got != "1\n2\n3\n" {
		t.Errorf("got %q", got)
	}
	s.Kill(t)
	again()
	pub("4")
	if got := run(t, 0, nil, "sub", "-u", s.url, "/queue/jobs", "--count", "1").Stdout(); got != "4\n" {
		t.Errorf("what was acknowledged comes again: %q", got)
	}
}
