package client

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-stomp/stomp/v3"
)

// pipe is a transport in memory, so that time can be synctest's.
type pipe struct {
	in     *io.PipeReader
	server *io.PipeWriter // what the server sends

	mu    sync.Mutex
	out   []string
	times []time.Time
}

func newPipe() *pipe {
	r, w := io.Pipe()
	return &pipe{in: r, server: w}
}

func (p *pipe) Read(b []byte) (int, error) { return p.in.Read(b) }

func (p *pipe) writeFrame(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, string(b))
	p.times = append(p.times, time.Now())
	return nil
}

func (p *pipe) Close() error { return p.in.Close() }
func (p *pipe) abort()       { _ = p.in.Close() }

func (p *pipe) beats() (n int, last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range p.out {
		if s == "\n" {
			n, last = n+1, p.times[i]
		}
	}
	return n, last
}

func connectPipe(t *testing.T, p *pipe, heartBeat string, o Options) *Conn {
	t.Helper()
	o, err := o.withDefaults("h")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(p.server, "CONNECTED\nversion:1.2\nheart-beat:"+heartBeat+"\n\n\x00") }()
	c, err := connect(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHeartBeatsAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		c := connectPipe(t, p, "0,8000", Options{SendHeartBeat: 4 * time.Second})
		start := time.Now()
		<-time.After(13 * time.Second)
		synctest.Wait()
		// max(4 s, 8 s), a quarter early: at 6 s and 12 s.
		if n, last := p.beats(); n != 2 || last.Sub(start) != 12*time.Second {
			t.Errorf("%d beats, the last after %v, want 2, 12s", n, last.Sub(start))
		}
		// A frame counts as a heart-beat.
		if err := c.Send("/topic/a", "", nil); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Second)
		if n, _ := p.beats(); n != 2 {
			t.Errorf("%d beats five seconds after a frame, want 2", n)
		}
		<-time.After(2 * time.Second)
		if n, _ := p.beats(); n != 3 {
			t.Errorf("%d beats seven seconds after a frame, want 3", n)
		}
		c.MustDisconnect()
		<-time.After(time.Minute)
		if n, _ := p.beats(); n != 3 {
			t.Errorf("%d beats after the end, want 3", n)
		}
	})
}

func TestSilentServerIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		c := connectPipe(t, p, "5000,0", Options{ReceiveHeartBeat: time.Second})
		start := time.Now()
		for range 4 { // any byte is a sign of life, even of an incomplete frame
			<-time.After(9 * time.Second)
			_, _ = io.WriteString(p.server, "\n")
		}
		<-c.Done()
		if err := c.Err(); !errors.Is(err, ErrSilent) {
			t.Errorf("Err = %v, want ErrSilent", err)
		}
		if d := time.Since(start); d != 46*time.Second {
			t.Errorf("ended after %v, want 46s: the last byte and twice 5s", d)
		}
		if n, _ := p.beats(); n != 0 {
			t.Errorf("%d beats to a server that wants none", n)
		}
	})
}

// A consumer that takes long to handle a message must neither take the server
// for silent nor appear dead to it.
func TestSlowConsumerKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		c := connectPipe(t, p, "1000,1000", Options{})
		sub, err := c.Subscribe("/topic/a", stomp.AckAuto)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // go-stomp drops what comes before it has written SUBSCRIBE
		const messages = 200
		server := make(chan struct{})
		go func() {
			defer close(server)
			m := "MESSAGE\nsubscription:" + sub.Id() + "\nmessage-id:1\ndestination:/topic/a\n\n" + strings.Repeat("x", 500) + "\x00"
			for range messages {
				_, _ = io.WriteString(p.server, m)
			}
			for {
				if _, err := io.WriteString(p.server, "\n"); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		}()
		<-time.After(5 * time.Minute)
		before, last := p.beats()
		if before == 0 || time.Since(last) > 10*time.Second {
			t.Errorf("%d beats while the consumer was slow, the last %v ago", before, time.Since(last))
		}
		for i := range messages {
			if m := <-sub.C; m == nil || m.Err != nil {
				t.Fatalf("message %d: %+v, Err %v", i, m, c.Err())
			}
		}
		c.MustDisconnect()
		for range sub.C {
			// go-stomp says on the channel that the connection ended
		}
		<-server
	})
}

func TestNegotiate(t *testing.T) {
	ms := time.Millisecond
	o := Options{SendHeartBeat: 100 * ms, ReceiveHeartBeat: 200 * ms}
	for header, want := range map[string][2]time.Duration{
		"":          {0, 0},
		"0,0":       {0, 0},
		"300,0":     {0, 300 * ms},
		"0,50":      {100 * ms, 0},
		" 10 , 400": {400 * ms, 200 * ms},
	} {
		w, r, err := negotiate(o, header)
		if err != nil || w != want[0] || r != want[1] {
			t.Errorf("negotiate(%q) = %v, %v, %v, want %v", header, w, r, err, want)
		}
	}
	if w, r, err := negotiate(Options{}, "1,1"); w != 0 || r != 0 || err != nil {
		t.Errorf("this side wants none: %v, %v, %v", w, r, err)
	}
	for _, header := range []string{"1", "a,b", "-1,0", "1,2,3", "99999999999,0"} {
		if _, _, err := negotiate(o, header); !errors.Is(err, ErrNotStomp) {
			t.Errorf("negotiate(%q) error %v, want ErrNotStomp", header, err)
		}
	}
}
