package app

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config/configtest"
)

// visitor is a connection that has only an address and a Close.
type visitor struct {
	net.Conn
	remote net.Addr
	closed bool
}

func (v *visitor) RemoteAddr() net.Addr { return v.remote }
func (v *visitor) Close() error         { v.closed = true; return nil }

func visit(c *crowd, address string) *visitor {
	v := &visitor{remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address + ":4711"))}
	c.watch(v, http.StateNew)
	return v
}

func TestCrowdClosesWhatWasIdleLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(log)
		c := newCrowd(5, 2, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, slog.New(slog.NewTextHandler(l, nil)))
		step := func() { <-time.After(2 * time.Second) }
		want := func(closed bool, all ...*visitor) {
			t.Helper()
			for i, v := range all {
				if v.closed != closed {
					t.Errorf("connection %d is closed: %v", i, v.closed)
				}
			}
		}
		a := visit(c, "[2001:db8::1]")
		step()
		b := visit(c, "[2001:db8::2]") // the same /64
		step()
		c.watch(a, http.StateActive)
		c.serving(a, true)
		third := visit(c, "[2001:db8::3]")
		want(false, a, third)
		want(true, b) // a is asking something
		c.watch(b, http.StateClosed)
		young := visit(c, "[2001:db8::4]") // nobody has been idle for long
		want(true, young)
		c.watch(young, http.StateClosed)
		want(false, a, third)

		proxied := []*visitor{visit(c, "10.0.0.1"), visit(c, "10.0.0.1"), visit(c, "10.0.0.1")}
		step()
		other := visit(c, "192.0.2.1") // all are five: the largest group that is no proxy makes room
		want(true, third)
		want(false, append(proxied, a, other)...)
		c.watch(third, http.StateClosed)
		for _, v := range append(proxied, a, other) {
			c.watch(v, http.StateHijacked) // or closed
		}
		if len(c.guests) != 0 || len(c.networks) != 0 {
			t.Errorf("%d connections of %d networks are left", len(c.guests), len(c.networks))
		}
		if n := strings.Count(l.String(), "connections were closed"); n == 0 || n > 3 {
			t.Errorf("%d lines in the log:\n%s", n, l)
		}
		c.limit(5, 1, nil) // a reload
		visit(c, "10.0.0.1")
		step()
		want(false, visit(c, "10.0.0.1"))
		if len(c.guests) != 1 {
			t.Errorf("%d connections of an address that may have one", len(c.guests))
		}
		local := newCrowd(5, 1, []netip.Prefix{netip.MustParsePrefix("::1/128")}, slog.New(slog.DiscardHandler))
		want(false, visit(local, "[::1]"), visit(local, "[::1]")) // a proxy
		off := newCrowd(config.Off, config.Off, nil, slog.New(slog.DiscardHandler))
		for range 100 {
			want(false, visit(off, "192.0.2.1"))
		}
	})
}

// Several addresses that are at their limit leave room for another one, however
// often they connect, and whether or not they begin a request that never ends.
func TestCrowdLeavesRoomForSmallNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(6, 3, nil, slog.New(slog.DiscardHandler))
		crowd := func(address string) (all []*visitor) {
			for range 3 {
				v := visit(c, address)
				c.watch(v, http.StateActive) // the first byte of a request has come
				all = append(all, v)
			}
			return all
		}
		crowd("192.0.2.1")
		served := crowd("192.0.2.2")
		for _, v := range served {
			c.serving(v, true)
		}
		ann, bob := visit(c, "203.0.113.1"), visit(c, "203.0.113.2")
		if ann.closed || bob.closed {
			t.Errorf("closed: %v, %v", ann.closed, bob.closed)
		}
		for i, v := range served {
			if v.closed {
				t.Errorf("connection %d was closed while it was served", i)
			}
		}
		late := visit(c, "203.0.113.1") // who has one already is worth no more than the first address, which has one left
		if !late.closed {
			t.Error("the first address has none any more")
		}
		c.watch(late, http.StateClosed)
		c.serving(served[0], false) // its body does not come
		if carol := visit(c, "203.0.113.3"); carol.closed || !served[0].closed {
			t.Errorf("closed: the newcomer %v, the one that was answered %v", carol.closed, served[0].closed)
		}
	})
}

func TestLimitsFitTheFiles(t *testing.T) {
	def := config.Default()
	for _, files := range []int{0, 1 << 20} {
		if got := fitLimits(def, files); got.limits != def.Limits || len(got.lower)+len(got.high) > 0 {
			t.Errorf("with %d files, 0 for no limit: %+v", files, got)
		}
	}
	got := fitLimits(def, 1024)
	want := def.Limits
	want.Connections, want.ConnectionsPerAddress, want.Unauthenticated, want.UnauthenticatedPerAddress = 256, 128, 128, 64
	want.Sessions, want.SessionsPerAddress = 512, 256
	if got.limits != want || len(got.high) > 0 {
		t.Errorf("with 1,024 files: %+v", got)
	}
	if text := strings.Join(got.lower, " "); !strings.Contains(text, "limits.sessions=512 limits.sessions_per_address=256") {
		t.Errorf("told are %s", text)
	}
}

// What the configuration sets does not change, not at its default either, and
// the operator is warned of what does not fit.
func TestLimitsThatAreSetDoNotChange(t *testing.T) {
	got := fitLimits(configtest.Load(t, quiet+`
limits:
  connections: 65536
  connections_per_address: 200
  unauthenticated: 100
  sessions: 5000
  sessions_per_address: off
`), 1024)
	want := config.Default().Limits
	want.ConnectionsPerAddress, want.Unauthenticated, want.UnauthenticatedPerAddress = 200, 100, 64
	want.Sessions, want.SessionsPerAddress = 5000, config.Off
	if got.limits != want {
		t.Errorf("got %+v, want %+v", got.limits, want)
	}
	if high := strings.Join(got.high, " "); high != "limits.connections=65536 limits.sessions=5000" || len(got.lower) > 0 {
		t.Errorf("too high are %s, lower are %s", high, got.lower)
	}
}

// Idle connections to the admin API make room for others, and the limits fit
// the number of files that the process may open.
func TestAdminConnectionsAreBounded(t *testing.T) {
	for files, want := range map[int]int{0: 512, 1 << 20: 512, 1024: 64, 32: 8} {
		if c := newAdminCrowd(files, slog.New(slog.DiscardHandler)); c.max != want || c.maxAddress != want*3/4 {
			t.Errorf("%d files: %d connections, %d of one address, want %d", files, c.max, c.maxAddress, want)
		}
	}
	l := new(log)
	a, err := New(Options{Config: configtest.Load(t, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nadmin_token_file: "+filepath.Join(t.TempDir(), "token")+"\n"), Logger: slog.New(slog.NewTextHandler(l, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d, err := a.admin(inner)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.serve() }()
	most := newAdminCrowd(openFiles(), slog.New(slog.DiscardHandler)).maxAddress
	ended := make(chan error, most+5)
	for range most + 5 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
	}
	for range 5 {
		if testkit.Receive(t, ended) == nil {
			t.Error("a connection got an answer to nothing")
		}
	}
	if !strings.Contains(l.String(), "connections to the admin API were closed") {
		t.Errorf("connections over the limit of %d were not closed for that: %s", most, l)
	}
	d.close(t.Context())
	if err := testkit.Receive(t, served); !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
