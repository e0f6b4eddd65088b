// Command flood shows that strangers cannot keep good clients out: it opens
// thousands of WebSockets that never send CONNECT, from many loopback addresses,
// and all the while connects a good client again and again.
//
//	hoofbeat serve &
//	go run ./broker/internal/flood -url ws://127.0.0.1:8080/ws
//
// It exits with 1 if a good client took longer than -limit to be CONNECTED, if
// more sockets were open at a time than -cap (the broker's cap, and some that are
// just being told that they were shed), or if any of them outlived -deadline.
// Only loopback addresses are accepted.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws/wsutil"
)

type flood struct {
	target *url.URL
	addr   string

	open, most               atomic.Int64
	admitted, refused, other atomic.Int64
	mu                       sync.Mutex
	lives                    []time.Duration
}

func main() {
	target := flag.String("url", "ws://127.0.0.1:8080/ws", "endpoint")
	sockets := flag.Int("sockets", 10_000, "sockets that never authenticate")
	parallel := flag.Int("parallel", 128, "handshakes at a time")
	limit := flag.Duration("limit", 100*time.Millisecond, "how long a good client may take")
	most := flag.Int64("cap", 2*1024, "sockets that may be open at a time")
	deadline := flag.Duration("deadline", 6*time.Second, "how long one may live")
	flag.Parse()
	u, err := url.Parse(*target)
	if err != nil || net.ParseIP(u.Hostname()) == nil || !net.ParseIP(u.Hostname()).IsLoopback() {
		fmt.Fprintln(os.Stderr, "flood: -url must name a loopback address such as ws://127.0.0.1:8080/ws")
		os.Exit(2)
	}
	f := &flood{target: u, addr: u.Host}
	if !f.run(*sockets, *parallel, *limit, *most, *deadline) {
		os.Exit(1)
	}
}

func (f *flood) run(sockets, parallel int, limit time.Duration, most int64, deadline time.Duration) bool {
	stop := make(chan struct{})
	good := make(chan []time.Duration)
	go func() { good <- f.goodClients(stop) }()

	start := time.Now()
	slots := make(chan struct{}, parallel)
	var all sync.WaitGroup
	for i := range sockets {
		slots <- struct{}{}
		all.Go(func() { f.stranger(i, func() { <-slots }) })
	}
	flooded := time.Since(start)
	all.Wait()
	close(stop)
	times := <-good
	slices.Sort(times)
	slices.Sort(f.lives)

	var longest time.Duration
	if n := len(f.lives); n > 0 {
		longest = f.lives[n-1]
	}
	if len(times) == 0 {
		fmt.Println("FAIL: no good client connected")
		return false
	}
	fmt.Printf("strangers     %d in %v: %d let in, %d refused with 429, %d otherwise\n", sockets, flooded.Round(time.Millisecond), f.admitted.Load(), f.refused.Load(), f.other.Load())
	fmt.Printf("at a time     %d at most, the longest for %v\n", f.most.Load(), longest.Round(time.Millisecond))
	fmt.Printf("good clients  %d connected, median %v, worst %v\n", len(times), times[len(times)/2].Round(10*time.Microsecond), times[len(times)-1].Round(10*time.Microsecond))
	ok := true
	fail := func(format string, a ...any) { ok = false; fmt.Printf("FAIL: "+format+"\n", a...) }
	if worst := times[len(times)-1]; worst > limit {
		fail("a good client took %v, more than %v", worst, limit)
	}
	if f.most.Load() > most {
		fail("%d strangers at a time, more than %d", f.most.Load(), most)
	}
	if longest > deadline {
		fail("a stranger lived for %v, more than %v", longest, deadline)
	}
	return ok
}

// stranger opens a socket and says nothing until it is closed. It calls
// answered when the handshake was decided.
func (f *flood) stranger(i int, answered func()) {
	d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i/200%200), byte(1+i%200))}}
	c, err := d.Dial("tcp", f.addr)
	if err != nil {
		f.other.Add(1)
		answered()
		return
	}
	defer c.Close()
	status := f.handshake(c)
	if status != http.StatusSwitchingProtocols {
		answered()
		if status == http.StatusTooManyRequests {
			f.refused.Add(1)
		} else {
			f.other.Add(1)
		}
		return
	}
	f.admitted.Add(1)
	n := f.open.Add(1)
	for m := f.most.Load(); n > m && !f.most.CompareAndSwap(m, n); m = f.most.Load() {
	}
	answered()
	start := time.Now()
	_, _ = io.Copy(io.Discard, c) // until the broker ends it
	f.open.Add(-1)
	f.mu.Lock()
	f.lives = append(f.lives, time.Since(start))
	f.mu.Unlock()
}

func (f *flood) handshake(c net.Conn) int {
	_ = c.SetDeadline(time.Now().Add(10 * time.Second)) // a socket of ours takes deadlines
	defer func() { _ = c.SetDeadline(time.Time{}) }()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", f.target.RequestURI(), f.addr)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	_ = r.Body.Close()
	return r.StatusCode
}

// goodClients connects one client after another from an address of its own.
func (f *flood) goodClients(stop <-chan struct{}) (times []time.Duration) {
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-stop:
			return times
		case <-every.C:
		}
		start := time.Now()
		if err := f.connect(); err != nil {
			fmt.Println("a good client:", err)
			times = append(times, time.Hour)
			continue
		}
		times = append(times, time.Since(start))
	}
}

func (f *flood) connect() error {
	d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 2, 0, 1)}}
	c, err := d.Dial("tcp", f.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if status := f.handshake(c); status != http.StatusSwitchingProtocols {
		return fmt.Errorf("the handshake was answered with %d", status)
	}
	if err := wsutil.WriteClientText(c, []byte("CONNECT\naccept-version:1.2\nlogin:good\n\n\x00")); err != nil {
		return err
	}
	p, err := wsutil.ReadServerText(c)
	if err != nil || !strings.HasPrefix(string(p), "CONNECTED\n") {
		return fmt.Errorf("CONNECT was answered with %q, %v", p, err)
	}
	return nil
}
