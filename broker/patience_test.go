package broker_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// answerPings reads for d and answers each ping. It returns the first event that
// is neither a ping nor a heart-beat.
func (p *peer) answerPings(t *testing.T, d time.Duration) (event, bool) {
	t.Helper()
	for end := time.Now().Add(d); ; {
		e, ok := p.within(time.Until(end))
		switch {
		case !ok:
			return event{}, false
		case e.what == "ping":
			p.raw(t, webSocketFrame(opPong, []byte(e.text)))
		case e.what != "eol":
			return e, true
		}
	}
}

// A page that hangs does not send the heart-beats that it promised, but its
// browser answers pings. It is ended after HeartBeatPatience.
func TestPatienceWithAClientThatOnlyAnswersPings(t *testing.T) {
	for _, tc := range []struct {
		patience time.Duration // of the options
		beat     string
		after    time.Duration // 0: it stays
		text     string
	}{
		{0, "10000,10000", 10 * time.Minute, "10m0s"}, // 0 is the default
		{0, "10000,0", 10 * time.Minute, "10m0s"},
		{0, "0,10000", 0, ""}, // it has promised nothing
		{0, "0,0", 0, ""},
		{-1, "10000,10000", 0, ""},
		{2 * time.Minute, "10000,10000", 2 * time.Minute, "2m0s"},
		{2 * time.Minute, "60000,10000", 3 * time.Minute, "3m0s"}, // three intervals are more
	} {
		t.Run(tc.patience.String()+" "+tc.beat, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{HeartBeatPatience: tc.patience})
				p := pipe(t, b, true).connect(t, "heart-beat", tc.beat)
				since := time.Now()
				e, ended := p.answerPings(t, time.Hour)
				if !ended {
					if tc.after != 0 {
						t.Fatal("it is still there after an hour")
					}
					return
				}
				want := "no frame and no heart-beat was heard for " + tc.text + " (heartbeat.patience)"
				if e.what != "ERROR" || e.f.Get("message") != want || tc.after == 0 {
					t.Fatalf("after %v came %v, want an ERROR %q", time.Since(since), e, want)
				}
				if d := e.at.Sub(since); !about(d, tc.after) {
					t.Errorf("it was ended after %v, want %v", d, tc.after)
				}
				p.wantClosed(t, 1002)
				if n := b.Stats().Ended["heart-beat-timeout"]; n != 1 {
					t.Errorf("%d heart-beat timeouts are counted", n)
				}
			})
		})
	}
}

// Patience begins again with each byte of STOMP, however late: an EOL once a
// minute, as from a tab in the background, part of a frame, a whole one.
func TestPatienceBeginsAgainWithEachByte(t *testing.T) {
	for name, say := range map[string]string{
		"EOL":          "\n",
		"frame":        "SEND\ndestination:/topic/a\n\n\x00",
		"half a frame": "SEND\ndestination:/topic/a\nx:" + strings.Repeat("y", 200),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{HeartBeatPatience: 90 * time.Second})
				p := pipe(t, b, true).connect(t, "heart-beat", "10000,10000")
				for i := range 60 {
					if e, ended := p.answerPings(t, time.Minute); ended {
						t.Fatalf("after %d minutes came %v", i+1, e)
					}
					if name == "half a frame" {
						p.octets(t, []byte{say[i]})
					} else {
						p.octets(t, []byte(say))
					}
				}
				if e, ended := p.answerPings(t, 2*time.Minute); !ended || e.what != "ERROR" {
					t.Fatalf("it has said no more, and got %v", e)
				}
			})
		})
	}
}

// Time that the session spends in code of the program is not the client's.
func TestPatienceWaitsForSlowHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{HeartBeatPatience: time.Minute})
		handle(t, b, "/slow", func(context.Context, *broker.Request) error {
			<-time.After(5 * time.Minute)
			return nil
		})
		p := pipe(t, b, true).connect(t, "heart-beat", "10000,10000")
		p.send(t, "SEND", "", "destination", "/app/slow", "receipt", "1")
		since := time.Now()
		if e, _ := p.answerPings(t, time.Hour); e.what != "RECEIPT" {
			t.Fatalf("after %v came %v", time.Since(since), e)
		}
		e, _ := p.answerPings(t, time.Hour)
		if d := time.Since(since); e.what != "ERROR" || !about(d, 6*time.Minute) {
			t.Fatalf("after %v came %v, want an ERROR a minute after the handler", d, e)
		}
	})
}

// A poller is a Transport of the program whose client shows that it lives
// without a byte of STOMP, as that of SockJS does with each poll.
type poller struct {
	first  chan []byte
	once   sync.Once
	closed chan struct{}
}

func (p *poller) Receive() ([]byte, error) {
	select {
	case b := <-p.first:
		return b, nil
	case <-time.After(5 * time.Second):
		return nil, nil
	case <-p.closed:
		return nil, io.EOF
	}
}

func (p *poller) Send([][]byte) error { return nil }

func (p *poller) Close(int, string) error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// The same holds for every Transport.
func TestPatienceWithATransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		p := &poller{first: make(chan []byte, 1), closed: make(chan struct{})}
		p.first <- encode(frame("CONNECT", "", "accept-version", "1.2", "host", "x", "heart-beat", "10000,10000"))
		since := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- b.Serve(t.Context(), p, broker.Admission{}) }()
		select {
		case err := <-ended:
			var why *broker.Error
			if !errors.As(err, &why) || why.Reason != broker.ReasonHeartBeatTimeout || !strings.Contains(why.Message, "(heartbeat.patience)") {
				t.Errorf("it ended with %v", err)
			}
			if d := time.Since(since); !about(d, 10*time.Minute) {
				t.Errorf("it ended after %v", d)
			}
		case <-time.After(time.Hour):
			t.Fatal("it is still there after an hour")
		}
	})
}
