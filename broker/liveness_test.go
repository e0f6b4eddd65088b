package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// bubble runs f once for WebSocket and once for TCP, in virtual time.
func bubble(t *testing.T, f func(t *testing.T, ws bool)) {
	t.Helper()
	for _, ws := range []bool{true, false} {
		t.Run(map[bool]string{true: "WebSocket", false: "TCP"}[ws], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, ws) })
		})
	}
}

func heartBeat(send, receive time.Duration) frames.HeartBeat {
	return frames.HeartBeat{Send: send, Receive: receive}
}

// What is promised in the heart-beat header is kept to the millisecond: from one
// byte to the next it never takes longer. And it is not sent twice as often.
func TestHeartBeatIsNeverLate(t *testing.T) { // trap 23
	for _, tc := range []struct{ offer, wish, every time.Duration }{
		{time.Second, time.Second, time.Second},
		{time.Second, 0, 0},
		{time.Second, 3 * time.Second, 3 * time.Second},
		{0, 10 * time.Second, 10 * time.Second}, // 0 is the default, 10 s
		{0, time.Millisecond, 10 * time.Second}, // trap 26: never more often than offered
		{60 * time.Second, 20 * time.Second, 60 * time.Second},
		{-1, 10 * time.Second, 0},
		{100 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%v,%v", tc.offer, tc.wish), func(t *testing.T) {
			bubble(t, func(t *testing.T, ws bool) {
				b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(tc.offer, -1), PingInterval: -1})
				p := pipe(t, b, ws).connect(t, "heart-beat", fmt.Sprintf("0,%d", tc.wish.Milliseconds()))
				last := time.Now()
				if tc.every == 0 {
					if seen := p.listen(t, 10*time.Minute); len(seen) > 0 {
						t.Fatalf("without heart-beats came %v", seen)
					}
					return
				}
				const n = 50
				seen := p.listen(t, n*tc.every)
				for _, e := range seen {
					if silence := e.at.Sub(last); e.what != "eol" || silence > tc.every {
						t.Fatalf("%v after %v of silence, promised was %v", e, silence, tc.every)
					}
					last = e.at
				}
				if len(seen) < n || len(seen) > 2*n {
					t.Errorf("%d heart-beats in the time of %d", len(seen), n)
				}
			})
		})
	}
}

// What is sent anyway counts: a busy connection needs no heart-beats.
func TestHeartBeatOnlyInSilence(t *testing.T) {
	bubble(t, func(t *testing.T, ws bool) {
		b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(10*time.Second, -1), PingInterval: -1})
		p := pipe(t, b, ws).connect(t, "heart-beat", "0,10000")
		p.subscribe(t, "1", "/topic/a")
		for range 60 {
			publish(t, b, "/topic/a", "x")
			for _, e := range p.listen(t, 5*time.Second) {
				if e.what != "MESSAGE" {
					t.Fatalf("between messages came %v", e)
				}
			}
		}
	})
}

// A heart-beat is a message of its own on a WebSocket (C-8): the peer's reader
// tells it from everything else, so it is enough that it came as "eol". A 1.0
// client knows no heart-beats (trap 24).
func TestNoHeartBeatsWithStomp10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{PingInterval: -1})
		p := pipe(t, b, false)
		p.send(t, "CONNECT", "", "accept-version", "1.0", "heart-beat", "1000,1000")
		p.want(t, "CONNECTED")
		if seen := p.listen(t, time.Hour); len(seen) > 0 {
			t.Errorf("a 1.0 client got %v", seen)
		}
	})
}

// N-13, a dead peer: asked after two intervals where the transport can ask, and
// closed after three.
func TestSilentPeerIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T, ws bool) {
		b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(-1, 10*time.Second)})
		p := pipe(t, b, ws).connect(t, "heart-beat", "10000,0")
		since := time.Now()
		if ws {
			if e, _ := p.within(time.Minute); e.what != "ping" || !about(e.at.Sub(since), 20*time.Second) {
				t.Errorf("after %v came %v, want a ping after 20 s", e.at.Sub(since), e)
			}
		}
		e, ok := p.within(time.Minute)
		if !ok || e.what != "ERROR" || !about(e.at.Sub(since), 30*time.Second) {
			t.Fatalf("after %v came %v, want an ERROR after 30 s", e.at.Sub(since), e)
		}
		if got := e.f.Get("message"); got != "nothing was heard for 30s" {
			t.Errorf("the ERROR says %q", got)
		}
		p.wantClosed(t, 1002)
		if n := b.Stats().Ended["heart-beat-timeout"]; n != 1 {
			t.Errorf("%d heart-beat timeouts are counted", n)
		}
	})
}

// about allows for the sweeper's tick.
func about(got, want time.Duration) bool { return got >= want-time.Second && got <= want+time.Second }

// Any byte is life: an EOL, half a frame, a pong nobody asked for.
func TestAnyOctetIsLife(t *testing.T) { // trap 23
	bubble(t, func(t *testing.T, ws bool) {
		b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(-1, 10*time.Second), HeartBeatPatience: -1})
		signs := map[string]func(p *peer, i int){
			"EOL": func(p *peer, _ int) { p.octets(t, []byte("\n")) },
			"half a frame": func(p *peer, i int) {
				p.octets(t, []byte{("SEND\ndestination:/topic/a\nx:" + strings.Repeat("y", 60))[i]})
			},
		}
		if ws {
			signs["pong"] = func(p *peer, _ int) { p.raw(t, webSocketFrame(opPong, nil)) }
			signs["ping"] = func(p *peer, _ int) {
				p.raw(t, webSocketFrame(opPing, []byte("hi")))
				if e := p.want(t, "pong"); e.text != "hi" {
					t.Errorf("the pong says %q", e.text)
				}
			}
			signs["empty message"] = func(p *peer, _ int) { p.raw(t, webSocketFrame(opText, nil)) }
		}
		for name, sign := range signs {
			p := pipe(t, b, ws).connect(t, "heart-beat", "10000,0")
			for i := range 60 {
				for _, e := range p.listen(t, 18*time.Second) { // late, but within two intervals
					t.Fatalf("%s: after %d signs of life came %v", name, i, e)
				}
				sign(p, i)
			}
			_ = p.Close()
		}
	})
}

// The page that Hoofbeat exists for: it waits in a background tab, whose timers
// run once a minute, so that it misses five of six heart-beats; but the browser
// answers pings. After an hour it is still there, and is told.
func TestBackgroundTabStaysForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		p := pipe(t, b, true).connect(t, "heart-beat", "10000,10000", "login", "alice")
		p.subscribe(t, "1", "/user/topic/authorization")
		pings := 0
		for range 60 {
			last := time.Now()
			for _, e := range p.listen(t, time.Minute) {
				if e.what == "ping" {
					pings++
				} else if e.what != "eol" {
					t.Fatalf("got %v", e)
				}
				if e.at.Sub(last) > 10*time.Second {
					t.Errorf("nothing was sent for %v", e.at.Sub(last))
				}
				last = e.at
			}
			p.octets(t, []byte("\n"))
		}
		if pings < 60 || pings > 180 {
			t.Errorf("%d pings in an hour, want two or three a minute", pings)
		}
		if d, err := b.PublishToSession(context.Background(), p.session, &broker.Message{Destination: "/topic/authorization"}); err != nil || d.Subscriptions != 1 {
			t.Fatalf("%v %v", d, err)
		}
		p.want(t, "MESSAGE")
	})
}

// S-12: a client that negotiated no heart-beats is pinged, in time for proxies
// that cut what is idle for 60 s; and if it does not answer it is dead.
func TestPingsWithoutHeartBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		p := pipe(t, b, true).connect(t, "heart-beat", "0,0")
		last := time.Now()
		for _, e := range p.listen(t, time.Hour) {
			if e.what != "ping" || e.at.Sub(last) > 26*time.Second || e.at.Sub(last) < 20*time.Second {
				t.Fatalf("after %v came %v, want a ping every 25 s", e.at.Sub(last), e)
			}
			last = e.at
		}
		if time.Since(last) > 26*time.Second {
			t.Errorf("the last ping came %v ago", time.Since(last))
		}
		since := time.Now()
		for e := p.next(t); e.what != "ERROR"; e, _ = p.within(time.Minute) { // deaf from now on
			if e.what != "ping" {
				t.Fatalf("got %v", e)
			}
		}
		if d := time.Since(since); d > 80*time.Second || d < 50*time.Second {
			t.Errorf("given up after %v, want three times 25 s", d)
		}
		p.wantClosed(t, 1002)
	})
}

// Plain TCP has no ping; without heart-beats silence says nothing there.
func TestNoPingsNoHeartBeats(t *testing.T) {
	bubble(t, func(t *testing.T, ws bool) {
		b := brokertest.New(t, broker.Options{PingInterval: -1})
		p := pipe(t, b, ws).connect(t, "heart-beat", "0,0")
		if seen := p.listen(t, 2*time.Hour); len(seen) > 0 {
			t.Errorf("got %v", seen)
		}
		p.send(t, "SEND", "", "destination", "/topic/a", "receipt", "1")
		p.receipt(t, "1")
	})
}

// While code of the program holds the session up nothing is read, so that
// silence proves nothing; and heart-beats go on meanwhile.
func TestSlowHandlerIsNotSilence(t *testing.T) {
	thinking := make(chan time.Duration, 1)
	think := func(ctx context.Context) error {
		select {
		case d := <-thinking:
			<-time.After(d)
		default:
		}
		return ctx.Err()
	}
	for name, tc := range map[string]struct {
		o    broker.Options
		send []string
	}{
		"handler":    {broker.Options{}, []string{"SEND", "/app/slow"}},
		"authorizer": {broker.Options{Authorizer: auth.AuthorizerFunc(func(ctx context.Context, _ *auth.Principal, _ auth.Action, _ string) error { return think(ctx) })}, []string{"SEND", "/topic/a"}},
		"observer":   {broker.Options{}, []string{"SUBSCRIBE", "/topic/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ws bool) {
				thinking = make(chan time.Duration, 1)
				b := brokertest.New(t, tc.o)
				if name == "observer" {
					b.Observe(broker.Observer{Subscribed: func(broker.SessionInfo, string, string) { _ = think(context.Background()) }})
				}
				handle(t, b, "/slow", func(ctx context.Context, _ *broker.Request) error { return think(ctx) })
				p := pipe(t, b, ws).connect(t, "heart-beat", "10000,10000")
				thinking <- 2 * time.Minute
				p.send(t, tc.send[0], "", "id", "1", "destination", tc.send[1])
				last := time.Now()
				for _, e := range p.listen(t, 2*time.Minute) {
					if e.what != "eol" && e.what != "ping" {
						t.Fatalf("the session has not survived: %v", e)
					}
					if e.at.Sub(last) > 10*time.Second {
						t.Errorf("no heart-beat for %v", e.at.Sub(last))
					}
					last = e.at
				}
				p.send(t, "SEND", "", "destination", "/topic/b", "receipt", "r")
				p.receipt(t, "r")
			})
		})
	}
}

// N+1: whoever has not connected after 5 s is closed, whatever comes from it.
func TestConnectDeadline(t *testing.T) {
	slowly := []byte("CONNECT\naccept-version:1.2\nx:" + strings.Repeat("y", 60))
	for name, trickle := range map[string]func(t *testing.T, p *peer, i int){
		"nothing":         func(*testing.T, *peer, int) {},
		"EOLs":            func(t *testing.T, p *peer, _ int) { p.octets(t, []byte("\n")) },
		"half a CONNECT":  func(t *testing.T, p *peer, i int) { p.octets(t, slowly[i:i+1]) },
		"WebSocket pings": func(t *testing.T, p *peer, _ int) { p.raw(t, webSocketFrame(opPing, nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ws bool) {
				if name == "WebSocket pings" && !ws {
					return
				}
				b := brokertest.New(t, broker.Options{})
				p, since := pipe(t, b, ws), time.Now()
				for i := 0; ; i++ {
					e, ok := p.within(100 * time.Millisecond)
					if !ok {
						if time.Since(since) > 6*time.Second {
							t.Fatal("it is still open after 6 s")
						}
						trickle(t, p, i)
						continue
					}
					if e.what == "pong" {
						continue
					}
					if e.what != "ERROR" || e.f.Get("message") != "not connected within 5s (limits.connect_deadline)" || !about(time.Since(since), 5*time.Second) {
						t.Fatalf("after %v came %v", time.Since(since), e)
					}
					break
				}
				p.wantClosed(t, 1008)
				synctest.Wait()
				if all, _ := b.Places(); all != 0 || b.Sockets() != 0 {
					t.Errorf("%d places and %d sockets are left", all, b.Sockets())
				}
			})
		})
	}
}

// An authenticator that does not answer in time has refused; that it has an
// answer in the end changes nothing.
func TestConnectDeadlineWhileTheAuthenticatorThinks(t *testing.T) {
	for name, wait := range map[string]func(context.Context) error{
		"it gives up":                     func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"it says yes when time is over":   func(ctx context.Context) error { <-ctx.Done(); return nil },
		"it says yes long after the time": func(context.Context) error { <-time.After(time.Minute); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ws bool) {
				b := brokertest.New(t, broker.Options{Authenticator: auth.AuthenticatorFunc(func(ctx context.Context, _ *auth.Attempt) (*auth.Principal, error) {
					if err := wait(ctx); err != nil {
						return nil, err
					}
					return &auth.Principal{Name: "late"}, nil
				})})
				var connected int
				b.Observe(broker.Observer{Connected: func(broker.SessionInfo) { connected++ }})
				p, since := pipe(t, b, ws), time.Now()
				p.send(t, "CONNECT", "", "accept-version", "1.2")
				e := p.next(t)
				if e.what != "ERROR" || !about(e.at.Sub(since), 5*time.Second) {
					t.Fatalf("after %v came %v", e.at.Sub(since), e)
				}
				p.wantClosed(t, 1008)
				<-time.After(2 * time.Minute)
				if st := b.Stats(); connected != 0 || st.Users != 0 || st.Sessions != 0 || st.Sockets != 0 {
					t.Errorf("%d connected, stats %+v", connected, st)
				}
			})
		})
	}
}

// A goodbye that the client does not take is cut short after LingerTimeout,
// also when other checks are due much later.
func TestGoodbyeNotTaken(t *testing.T) {
	bubble(t, func(t *testing.T, ws bool) {
		b := brokertest.New(t, broker.Options{
			HeartBeat: heartBeat(5*time.Minute, -1), PingInterval: -1, WriteDeadline: -1,
			Authenticator: expiring(30 * time.Second),
		})
		p := pipe(t, b, ws).connect(t, "heart-beat", "0,300000")
		p.send(t, "SEND", "", "destination", "/topic/a", "receipt", "1") // never read
		<-time.After(35 * time.Second)
		synctest.Wait()
		if n := b.Sockets(); n != 0 {
			t.Errorf("the session has not ended 5 s after its expiry")
		}
	})
}

// expiring lets everybody in for so long.
func expiring(d time.Duration) auth.Authenticator {
	return auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		if a.Stage == auth.StageHandshake {
			return nil, auth.ErrNotMine
		}
		return &auth.Principal{Name: a.Login, Expires: time.Now().Add(d)}, nil
	})
}
