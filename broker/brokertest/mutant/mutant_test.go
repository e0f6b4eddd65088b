//go:build unix

package mutant_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/drive"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/faultproxy"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/mutant"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

// seeds is how often each mutant runs: once, or 20 times with
// HOOFBEAT_FAULTS=long. Package checker runs it 20 times with an in-memory
// broker.
func seeds() uint64 {
	if drive.Long() {
		return 20
	}
	return 1
}

// The checker catches the real broker behind a proxy that spoils one MESSAGE in
// 10,000, each time, and finds nothing without a fault.
func TestEachMutantIsCaught(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hoofbeat.yaml")
	if err := os.WriteFile(file, []byte(drive.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := process.Serve(t, process.Options{Args: []string{"-c", file}})
	mixed := drive.Plan{Topics: 2, Queues: 1, Private: true, Publishers: 2, Subscribers: 6, Users: 3, Consumers: 2, Sends: 1800}
	private := drive.Plan{Private: true, Publishers: 2, Subscribers: 8, Users: 2, Sends: 1400}
	for _, m := range []struct {
		fault mutant.Fault
		plan  drive.Plan
		want  checker.Kind
	}{
		{mutant.None, mixed, 0},
		{mutant.Lose, mixed, checker.Lost},
		{mutant.Double, mixed, checker.Duplicate},
		{mutant.Reorder, mixed, checker.OutOfOrder},
		{mutant.Misdeliver, private, checker.Misdelivered},
		{mutant.ForgeRecovered, mixed, checker.RecoveredHole},
	} {
		t.Run(string(m.fault), func(t *testing.T) {
			for seed := range seeds() {
				plan := m.plan
				plan.Name = fmt.Sprintf("%s%d", plan.Name, seed)
				caught(t, s, m.fault, plan, m.want, seed)
			}
		})
	}
}

func caught(t *testing.T, s *process.Server, fault mutant.Fault, plan drive.Plan, want checker.Kind, seed uint64) {
	t.Helper()
	p, err := mutant.Start(s.URL, mutant.Options{Fault: fault, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	plan.Name = fmt.Sprintf("m%d-%s", seed, fault[:1]+fault[len(fault)-1:])
	plan.URL = drive.At(p.URL())
	if want != 0 {
		plan.Quiet = time.Second // missing messages do not arrive later
	}
	if fault == mutant.ForgeRecovered {
		plan.URL = cutting(t, p.URL())
		plan.Gap = 20
	}
	c := checker.New(checker.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := drive.Run(ctx, c, plan); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	r := c.Report()
	spoilt, seen := p.Spoilt()
	t.Logf("seed %d: %d of %d MESSAGEs spoilt, %d violations", seed, spoilt, seen, r.Total)
	switch {
	case seen < 10_000:
		t.Errorf("seed %d: only %d MESSAGEs have passed", seed, seen)
	case want == 0 && r.Total != 0:
		t.Errorf("seed %d: no fault, and %d violations:\n%v", seed, r.Total, r)
	case want != 0 && spoilt == 0:
		t.Errorf("seed %d: nothing was spoilt", seed)
	case want != 0 && r.Kinds[want] == 0:
		t.Errorf("seed %d: %d were spoilt and not caught:\n%v", seed, spoilt, r)
	}
}

// cutting cuts the connection of one subscriber once, in the middle of the run.
func cutting(t *testing.T, url string) func(drive.Role, int) string {
	t.Helper()
	const scheme = "ws://"
	address, path := url[len(scheme):len(url)-len("/ws")], "/ws"
	p, err := faultproxy.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	p.Set(faultproxy.ToClient, faultproxy.Fault{CutAfter: 50_000})
	first := true // one client only asks, one connection after the other
	return func(r drive.Role, n int) string {
		switch {
		case r != drive.Subscriber || n != 0:
			return url
		case !first:
			p.Heal()
		}
		first = false
		return scheme + p.Addr() + path
	}
}
