//go:build unix

package main

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/drive"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// The broker keeps a history in a store and is killed with -9 at random moments,
// while clients publish, and others come and go with their offset. What had its
// RECEIPT is there, recovered:true hides no hole, and nothing comes twice or in
// another order. It takes 6 s, or 60 s with HOOFBEAT_FAULTS=long, and longer on a
// machine on which too little happens in that time.
func TestHistoryOfABinaryThatIsKilled(t *testing.T) {
	length := 6 * time.Second
	if drive.Long() {
		length = time.Minute
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "hoofbeat.yaml")
	text := "history:\n  - {destination: " + drive.HistoryPattern + ", messages: 40, bytes: 1MiB}\n" +
		"rules:\n  - {allow: [subscribe, send], destination: " + drive.HistoryPattern + "}\n" +
		"store:\n  dir: " + filepath.Join(dir, "store") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveWith(t, process.Options{Restartable: true, Args: []string{"--config", file}})
	c := checker.New(checker.Options{})
	r := &drive.History{Address: strings.TrimPrefix(s.TCP, "tcp://"), Checker: c, Restarts: true}
	ctx, cancel := context.WithTimeout(t.Context(), length+2*time.Minute)
	defer cancel()
	kills, rnd := 0, rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano()))) //nolint:gosec // random moments
	happened := func() bool { return c.Counts().Receipted >= 100 && r.Counts().True >= 10 && kills >= 3 }
	said, err := r.Run(ctx, func() {
		server := s.Server
		late := time.Now().Add(length + time.Minute)
		for end := time.Now().Add(length); time.Now().Before(end) || !happened() && time.Now().Before(late); kills++ {
			pause(ctx, 200*time.Millisecond+time.Duration(rnd.IntN(int(time.Second))))
			server.Kill(t)
			server = server.Restart(t)
		}
	})
	if err != nil {
		t.Error(err)
	}
	for _, v := range c.Report().Violations {
		t.Error(v)
	}
	n := c.Counts()
	t.Logf("%d kills; %+v; %+v", kills, n, said)
	if !happened() {
		t.Error("the run tests nothing")
	}
}
