//go:build unix

package drive_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/drive"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/faultproxy"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

// sends is the length of the runs, a hundred times larger with
// HOOFBEAT_FAULTS=long.
func sends(n int) int {
	if drive.Long() {
		return 100 * n
	}
	return n
}

// broker starts the binary with the configuration that package drive needs.
func broker(t *testing.T, o process.Options) *process.Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hoofbeat.yaml")
	if err := os.WriteFile(file, []byte(drive.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Args = append(o.Args, "-c", file)
	return process.Serve(t, o)
}

// clean runs a plan and checks that there is no violation and some traffic.
func clean(t *testing.T, p drive.Plan) checker.Counts {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c := checker.New(checker.Options{})
	if err := drive.Run(ctx, c, p); err != nil {
		t.Fatal(err)
	}
	if r := c.Report(); r.Total != 0 {
		t.Errorf("%d violations:\n%v", r.Total, r)
	}
	n := c.Counts()
	t.Logf("%+v", n)
	if n.Sends < p.Publishers*p.Sends || n.Messages < n.Receipted || n.Receipted < n.Sends/2 {
		t.Errorf("too little happened: %+v", n)
	}
	return n
}

func TestNothingHappens(t *testing.T) {
	s := broker(t, process.Options{})
	clean(t, drive.Plan{
		URL: drive.At(s.URL), Name: "calm", Topics: 3, Queues: 2, Private: true,
		Publishers: 3, Subscribers: 4, Consumers: 3, Users: 3, Sends: sends(400), TransactionEvery: 10,
	})
}

// A consumer dies without DISCONNECT while it holds messages, and returns.
func TestConsumerIsKilled(t *testing.T) {
	s := broker(t, process.Options{})
	n := clean(t, drive.Plan{
		URL: drive.At(s.URL), Name: "killed", Topics: 1, Queues: 2,
		Publishers: 2, Subscribers: 1, Consumers: 3, Sends: sends(500), KillConsumer: 100,
	})
	if n.Messages == n.Sends {
		t.Error("nothing was delivered again")
	}
}

// One client of each role has its connection cut in the middle.
func TestConnectionsAreCut(t *testing.T) {
	s := broker(t, process.Options{})
	var cut [3]*faultproxy.Proxy
	for i, f := range []faultproxy.Fault{{ResetAfter: 20_000}, {CutAfter: 20_000}, {CutAfter: 5_000}} {
		p, err := faultproxy.Listen(s.Addresses["listen"])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		direction := faultproxy.ToClient
		if i == 0 { // the publisher, who sends more than it gets
			direction = faultproxy.ToServer
		}
		p.Set(direction, f)
		cut[i] = p
	}
	var dials [3]atomic.Int64
	through := map[drive.Role]int{drive.Publisher: 0, drive.Subscriber: 1, drive.Consumer: 2}
	clean(t, drive.Plan{
		URL: func(r drive.Role, n int) string {
			if i := through[r]; n == 0 {
				if dials[i].Add(1) >= 3 {
					cut[i].Heal() // after two cuts
				}
				return strings.Replace(s.URL, s.Addresses["listen"], cut[i].Addr(), 1)
			}
			return s.URL
		},
		Name: "cut", Topics: 2, Queues: 1, Private: true,
		Publishers: 2, Subscribers: 3, Consumers: 2, Sends: sends(1000), TransactionEvery: 10, Gap: 10,
	})
	for i := range dials {
		if n := dials[i].Load(); n < 2 {
			t.Errorf("client %d was not cut", i)
		}
	}
}

// underWay runs a plan and calls do once 500 MESSAGEs have arrived. It expects
// no violation.
func underWay(t *testing.T, p drive.Plan, do func(c *checker.Checker)) {
	t.Helper()
	c := checker.New(checker.Options{Queue: drive.Queue})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- drive.Run(ctx, c, p) }()
	for c.Counts().Messages < 500 {
		select {
		case err := <-done:
			t.Fatalf("the run was over before: %v", err)
		case <-ctx.Done():
			t.Fatal("the run does not begin")
		case <-time.After(time.Millisecond):
		}
	}
	do(c)
	select { // it has an end of its own
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(6 * time.Minute):
		t.Fatal("the run does not end")
	}
	if r := c.Report(); r.Total != 0 {
		t.Errorf("%d violations:\n%v", r.Total, r)
	}
}

// The broker is killed with -9 and restarted while clients are at work. It
// keeps everything in memory, so those messages are lost, but nothing is wrong
// before and after.
func TestBrokerIsKilled(t *testing.T) {
	s := broker(t, process.Options{Restartable: true})
	plan := drive.Plan{
		URL: drive.At(s.URL), Name: "died", Topics: 2, Queues: 1,
		Publishers: 2, Subscribers: 2, Consumers: 2, Sends: sends(1000), Quiet: 5 * time.Second,
	}
	underWay(t, plan, func(c *checker.Checker) {
		s.Kill(t)
		c.MemoryLost("node")
		s.Restart(t)
	})
}

// The broker is frozen for a moment, with all connections open.
func TestBrokerIsFrozen(t *testing.T) {
	s := broker(t, process.Options{})
	plan := drive.Plan{
		URL: drive.At(s.URL), Name: "frozen", Topics: 2, Queues: 1,
		Publishers: 2, Subscribers: 2, Consumers: 2, Sends: sends(1000), TransactionEvery: 10,
	}
	underWay(t, plan, func(*checker.Checker) {
		s.Freeze(t)
		time.Sleep(200 * time.Millisecond) // for so long it does not answer
		s.Thaw(t)
	})
}

// The network is slow and uneven, and freezes for a moment.
func TestNetworkIsSlow(t *testing.T) {
	s := broker(t, process.Options{})
	p, err := faultproxy.New(s.Addresses["listen"], faultproxy.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	p.Set(faultproxy.Both, faultproxy.Fault{Delay: time.Millisecond, Jitter: 4 * time.Millisecond, Rate: 1 << 20})
	plan := drive.Plan{
		URL: drive.At(strings.Replace(s.URL, s.Addresses["listen"], p.Addr(), 1)), Name: "slow", Topics: 2, Queues: 1,
		Publishers: 2, Subscribers: 2, Consumers: 2, Sends: sends(400), TransactionEvery: 10,
	}
	underWay(t, plan, func(*checker.Checker) {
		p.Set(faultproxy.ToClient, faultproxy.Fault{Frozen: true})
		time.Sleep(100 * time.Millisecond) // for so long nothing passes
		p.Heal()
	})
}

func TestPlanIsRefused(t *testing.T) {
	for _, p := range []drive.Plan{{}, {URL: drive.At("ws://127.0.0.1:1"), Name: "x"}} {
		if err := drive.Run(t.Context(), checker.New(checker.Options{}), p); err == nil {
			t.Errorf("%+v is run", p)
		}
	}
}

// A run that cannot finish ends with its context, and says why.
func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	p := drive.Plan{URL: drive.At("ws://127.0.0.1:1/ws"), Name: "x", Topics: 1, Publishers: 1, Subscribers: 1, Sends: 1}
	err := drive.Run(ctx, checker.New(checker.Options{}), p)
	if err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("got %v", err)
	}
}
