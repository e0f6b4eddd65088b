//go:build !nostore && unix

package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// peersOfChild has the addresses for the node of TestNodeOfItsOwn.
const peersOfChild = "HOOFBEAT_TEST_PEERS"

// TestNodeOfItsOwn is the process that TestX25FrozenNode stops. It says the
// numbers that it gets, and ends with its input.
func TestNodeOfItsOwn(t *testing.T) {
	peers := os.Getenv(peersOfChild)
	if peers == "" {
		return // only a part of TestX25FrozenNode
	}
	c, _ := startNode(t, "c", quick, strings.Split(peers, " ")...)
	_, err := c.broker.Subscribe(t.Context(), "/topic/x25", broker.SubscribeOptions{Buffer: 1 << 16}, func(_ context.Context, m *broker.Message) error {
		number, _, err := cutNumber(m.Body)
		fmt.Println("got", number)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Fatal(err)
	}
}

// a process that is stopped slows nobody down, and is not live soon. When it
// goes on, it is a node as before, and has got nothing twice or in the wrong
// order.
func TestX25FrozenNode(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	a, serverA := startNode(t, "a", quick)
	b, serverB := startNode(t, "b", quick, serverA.Addr())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // the child ends after the test
	t.Cleanup(cancel)
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestNodeOfItsOwn$", "-test.timeout=5m")
	child.Env = append(os.Environ(), peersOfChild+"="+serverA.Addr()+" "+serverB.Addr())
	child.Stderr = os.Stderr
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []int
	var said []string
	var reading sync.WaitGroup
	reading.Go(func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			number, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), "got "))
			mu.Lock()
			if err != nil {
				said = append(said, lines.Text())
			} else {
				got = append(got, number)
			}
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = child.Process.Signal(syscall.SIGCONT)
		_ = input.Close()
		reading.Wait()
		if err := child.Wait(); err != nil {
			mu.Lock()
			defer mu.Unlock()
			t.Errorf("the other process: %v: %q", err, said)
		}
	})
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := child.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	nodes := func(n int) time.Duration {
		t.Helper()
		start := time.Now()
		brokertest.Eventually(t, fmt.Sprint(n, " nodes are live"), func() bool { return len(a.links.Nodes()) == n && len(b.links.Nodes()) == n })
		return time.Since(start)
	}
	p := numbered{node: a}
	heard := func(number int) {
		t.Helper()
		brokertest.Eventually(t, fmt.Sprint("the other process gets a number above ", number), func() bool {
			p.publish(t, "/topic/x25", 1, 0)
			mu.Lock()
			defer mu.Unlock()
			return len(got) > 0 && got[len(got)-1] > number
		})
	}
	nodes(3)
	heard(0)

	const messages, size = 600, 100 << 10 // 20 MB/s
	var late []time.Duration
	sent := make([]time.Time, messages)
	over := false
	_, err = b.broker.Subscribe(t.Context(), "/topic/load", broker.SubscribeOptions{Buffer: 1 << 16}, func(_ context.Context, m *broker.Message) error {
		number, _, err := cutNumber(m.Body)
		mu.Lock()
		defer mu.Unlock()
		if over = number >= messages; !over {
			late = append(late, time.Since(sent[number]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	signal(syscall.SIGSTOP)
	load := numbered{node: a}
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for i := range messages {
		<-pace.C
		mu.Lock()
		sent[i] = time.Now()
		mu.Unlock()
		load.publish(t, "/topic/load", 1, size)
		p.publish(t, "/topic/x25", 1, size) // the node that has stopped wants these
	}
	brokertest.Eventually(t, "the node that lives has everything", func() bool {
		load.publish(t, "/topic/load", 1, 0)
		mu.Lock()
		defer mu.Unlock()
		return over
	})
	out := nodes(2)
	mu.Lock()
	slices.Sort(late)
	came := len(late)
	p99 := late[came*99/100]
	mu.Unlock()
	t.Logf("of %d messages of %d bytes %d came to the node that lives, 99 %% of them within %v; the node that has stopped was out %v after the last one", messages, size, came, p99, out)
	if p99 > 10*time.Second {
		t.Errorf("the living node waited %v", p99)
	}
	signal(syscall.SIGCONT)
	nodes(3)
	heard(p.next)
	mu.Lock()
	defer mu.Unlock()
	for i := 1; i < len(got); i++ {
		if got[i] <= got[i-1] {
			t.Fatalf("the other process got %d after %d", got[i], got[i-1])
		}
	}
}
