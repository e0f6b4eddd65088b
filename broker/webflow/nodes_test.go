package webflow_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// Two Flows of two brokers share one Store, as the nodes of a cluster do.
type nodes struct {
	a, b   *broker.Broker
	fa, fb *webflow.Flow
	da, db diary
}

func startNodes(t testing.TB, o webflow.Options) *nodes {
	t.Helper()
	if o.Store == nil {
		o.Store = webflow.NewMemory()
	}
	n := &nodes{}
	hooks := func(d *diary) webflow.Options {
		o := d.in(o)
		o.Delivered, o.Acknowledged = d.note("delivered"), d.note("acknowledged")
		return o
	}
	n.a, n.fa = start(t, hooks(&n.da))
	n.b, n.fb = start(t, hooks(&n.db))
	return n
}

// wantEvents checks the events of both nodes since the last call.
func (n *nodes) wantEvents(t testing.TB, a, b []string) {
	t.Helper()
	synctest.Wait()
	n.da.wantEvents(t, a...)
	n.db.wantEvents(t, b...)
}

// Announced on one node, registered on another, approved on the first:
// the page is told at once, and each node knows everything.
func TestOperationSpansNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNodes(t, webflow.Options{PollInterval: -1})
		open(t, n.fa, "op", user("alice"))
		c := page(t, n.b, "alice", "client")
		c.register("ws-op")
		reply := want(t, c, accepted("ws-op"))[0]
		if i, err := n.fa.Lookup(t.Context(), "op"); err != nil || !i.Registered || i.Session != c.Session {
			t.Errorf("the other node knows %+v, %v", i, err)
		}
		began := time.Now()
		notify(t, n.fa, "op", "AUTH_FAILED", true)
		notify(t, n.fa, "op", "CONFIRMED", true)
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		m := want(t, c, told("ws-op", "AUTH_FAILED"), told("ws-op", "CONFIRMED"))[1]
		c.ack(m)
		synctest.Wait()
		for name, f := range map[string]*webflow.Flow{"a": n.fa, "b": n.fb} {
			i, err := f.Lookup(t.Context(), "op")
			if err != nil || i.Result != "CONFIRMED" || !i.Terminal || !i.Delivered || !i.Acked || !i.Registered {
				t.Errorf("node %s: %+v, %v", name, i, err)
			}
			s, err := f.Result(t.Context(), "ws-op", webflow.Caller{PollToken: reply.Get("poll-token")})
			if err != nil || s.Result != "CONFIRMED" {
				t.Errorf("node %s: poll %+v, %v", name, s, err)
			}
			if ok, err := f.MayWait(t.Context(), &auth.Principal{Name: "alice"}, "op"); !ok || err != nil {
				t.Errorf("node %s: MayWait %v, %v", name, ok, err)
			}
			if all := slices.Collect(f.Operations()); len(all) != 1 || all[0] != i {
				t.Errorf("node %s: %+v", name, all)
			}
		}
		if a, b := n.fa.Stats(), n.fb.Stats(); a != (webflow.Stats{Operations: 1}) || b != (webflow.Stats{Operations: 1, Registered: 1, Sessions: 1}) {
			t.Errorf("%+v, %+v", a, b)
		}
		n.wantEvents(t, nil, []string{"registered", "delivered", "delivered", "acknowledged"})
	})
}

// A result that one node holds reaches the page that registers on the other.
// Redelivery crosses nodes, too: with the same message-id.
func TestResultIsHeldForAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNodes(t, webflow.Options{})
		open(t, n.fa, "op", user("alice"))
		notify(t, n.fa, "op", "CONFIRMED", false)
		c := page(t, n.b, "alice", "client")
		c.register("ws-op")
		m := want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))[1]
		wantHeaders(t, m, "redelivered", "")
		notify(t, n.fa, "op", "CONFIRMED", true) // reported twice, on two nodes
		notify(t, n.fb, "op", "CONFIRMED", true)
		want(t, c)
		c.Close()
		c = page(t, n.a, "alice", "client")
		c.register("ws-op")
		again := want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))[1]
		wantHeaders(t, again, "redelivered", "true", "message-id", m.Get("message-id"))
		c.ack(again)
		c.Close()
		c = page(t, n.b, "alice", "client")
		c.register("ws-op")
		want(t, c, accepted("ws-op"))
		n.wantEvents(t, []string{"registered", "acknowledged", "lost"}, []string{"registered", "delivered", "lost", "registered"})
	})
}

// The owner's newest session waits, whatever node it is on.
func TestSessionIsSupersededFromAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNodes(t, webflow.Options{PollInterval: -1})
		open(t, n.fa, "op", user("alice"))
		first, second := page(t, n.a, "alice", "client"), page(t, n.b, "alice", "client")
		first.register("ws-op")
		old := webflow.Caller{PollToken: want(t, first, accepted("ws-op"))[0].Get("poll-token")}
		notify(t, n.fb, "op", "AUTH_FAILED", true)
		m := want(t, first, told("ws-op", "AUTH_FAILED"))[0]
		second.register("ws-op")
		synctest.Wait()
		want(t, first, superseded("ws-op"))
		want(t, second, accepted("ws-op"), told("ws-op", "AUTH_FAILED"))
		first.ack(m) // too late
		for _, f := range []*webflow.Flow{n.fa, n.fb} {
			if _, err := f.Result(t.Context(), "ws-op", old); err != webflow.ErrUnknown {
				t.Errorf("poll with the old token: %v", err)
			}
		}
		notify(t, n.fa, "op", "CONFIRMED", true)
		synctest.Wait()
		want(t, first)
		want(t, second, told("ws-op", "CONFIRMED"))
		if a, b := n.fa.Stats().Registered, n.fb.Stats().Registered; a != 0 || b != 1 {
			t.Errorf("%d and %d registrations", a, b)
		}
		first.Close() // not a loss
		n.wantEvents(t, []string{"registered", "delivered"}, []string{"registered", "delivered"})
	})
}

// One node ends an operation, once, and all see it. If the node that acted last
// is gone, another one does it a little later.
func TestExpiryIsDecidedOnce(t *testing.T) {
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("gone %v", gone), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := startNodes(t, webflow.Options{})
				open(t, n.fa, "op", user("alice"))
				open(t, n.fa, "done", user("alice"))
				notify(t, n.fa, "done", "CONFIRMED", false)
				c := page(t, n.b, "alice", "auto")
				later(5*time.Minute - time.Millisecond)
				n.wantEvents(t, nil, nil)
				expired, none := []string{"expired"}, []string(nil)
				if gone {
					_ = n.fa.Close()
				}
				later(time.Millisecond)
				for _, f := range []*webflow.Flow{n.fa, n.fb} {
					if _, err := f.Notify(t.Context(), "op", "DONE"); err != webflow.ErrUnknown && err != webflow.ErrClosed {
						t.Errorf("Notify after the end: %v", err)
					}
				}
				c.register("ws-op")
				want(t, c, rejected("ws-op"))
				later(time.Minute)
				if gone {
					n.wantEvents(t, none, expired)
				} else {
					n.wantEvents(t, expired, none)
				}
				if s := n.fb.Stats().Operations; s != 0 {
					t.Errorf("%d operations", s)
				}
			})
		})
	}
}

func TestExpiredResultReachesTheOtherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNodes(t, webflow.Options{ExpiredResult: "CANCELED"})
		open(t, n.fa, "op", user("alice"))
		c := page(t, n.b, "alice", "auto")
		c.register("ws-op")
		notify(t, n.fa, "op", "CONTINUE", true) // then a is the one to act
		later(5 * time.Minute)
		want(t, c, accepted("ws-op"), told("ws-op", "CONTINUE"), told("ws-op", "CANCELED"))
		if _, err := n.fa.Notify(t.Context(), "op", "CONFIRMED"); err != webflow.ErrDecided {
			t.Error(err)
		}
		synctest.Wait()
		a, _ := n.da.take()
		b, _ := n.db.take()
		all := append(a, b...)
		slices.Sort(all)
		if want := []string{"delivered", "delivered", "expired", "registered"}; !slices.Equal(all, want) {
			t.Errorf("events %v, want %v", all, want)
		}
	})
}

// The owner may come back on another node. If he does not, he is reported as
// abandoned once, also if the node that lost him has ended since.
func TestGraceSpansNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNodes(t, webflow.Options{})
		open(t, n.fa, "op", user("alice"))
		c := page(t, n.a, "alice", "auto")
		c.register("ws-op")
		c.Close()
		later(30*time.Second - time.Millisecond)
		c = page(t, n.b, "alice", "auto")
		c.register("ws-op")
		later(time.Minute)
		n.wantEvents(t, []string{"registered", "lost"}, []string{"registered"})
		c.Close()
		later(time.Minute)
		n.wantEvents(t, nil, []string{"lost", "abandoned"})

		c = page(t, n.a, "alice", "auto")
		c.register("ws-op")
		session := c.Session
		c.Close()
		n.wantEvents(t, []string{"registered", "lost"}, nil)
		_ = n.fa.Close()
		later(30*time.Second - time.Millisecond)
		n.wantEvents(t, nil, nil) // not before its time
		later(time.Minute)
		e := n.db.wantEvents(t, "abandoned")[0]
		if e.Session != session || e.User != "alice" || e.Code != 1006 || e.Reason != broker.ReasonConnectionLost || e.OperationID != "op" {
			t.Errorf("%+v", e)
		}
	})
}

// Of an operation that is anyone's, one page wins, whatever the nodes; who may
// take it over is the policy's matter.
func TestPoliciesSpanNodes(t *testing.T) {
	for policy, wants := range map[webflow.Policy]bool{webflow.FirstWins: false, webflow.LastWins: true} {
		n := startNodes(t, webflow.Options{Policy: policy})
		open(t, n.fa, "op", anyone)
		first, second := page(t, n.a, "ann", "auto"), page(t, n.b, "bob", "auto")
		first.register("ws-op")
		token := want(t, first, accepted("ws-op"))[0].Get("poll-token")
		second.register("ws-op")
		if wants {
			want(t, second, accepted("ws-op"))
			continue
		}
		want(t, second, rejected("ws-op"))
		second.register("ws-op", "poll-token", token) // the same page, reloaded
		want(t, second, accepted("ws-op"))
		second.Close()
		first.register("ws-op")
		notify(t, n.fb, "op", "DONE", true)
		want(t, first, superseded("ws-op"), accepted("ws-op"), told("ws-op", "DONE"))
	}
}

// A page hears in this order: that it was superseded, that it is registered
// again, the result. Two goroutines send to it: one that attends to what the
// other node changed, and the one that handles the registration.
func TestResultFollowsTheReply(t *testing.T) {
	n := startNodes(t, webflow.Options{})
	for i := range 600 {
		id := fmt.Sprint(i)
		open(t, n.fa, id, anyone)
		first, second := page(t, n.a, "ann", "auto"), page(t, n.b, "bob", "auto")
		first.register("ws-" + id)
		token := want(t, first, accepted("ws-"+id))[0].Get("poll-token")
		second.register("ws-"+id, "poll-token", token)
		second.Close()
		first.register("ws-" + id)
		notify(t, n.fb, id, "DONE", true)
		want(t, first, superseded("ws-"+id), accepted("ws-"+id), told("ws-"+id, "DONE"))
		first.Close()
	}
}

// Pages on both nodes register at the same moment: one gets it.
func TestFirstWinsBetweenNodes(t *testing.T) {
	n := startNodes(t, webflow.Options{})
	for i := range 200 {
		id := fmt.Sprint(i)
		open(t, n.fa, id, anyone)
		pages := []*client{page(t, n.a, "ann", "auto"), page(t, n.b, "bob", "auto")}
		var all sync.WaitGroup
		for _, c := range pages {
			all.Go(func() { c.register("ws-" + id) })
		}
		testkit.Wait(t, &all)
		got := 0
		for _, c := range pages {
			for _, m := range c.seen {
				if subRegistration+" "+string(m.Body) == accepted("ws-"+id) {
					got++
				}
			}
			c.seen = nil
		}
		if got != 1 {
			t.Fatalf("round %d: %d pages wait", i, got)
		}
		for _, c := range pages {
			c.Close()
		}
	}
}

// Two different final results on two nodes at once. One wins, and the
// page is told that one.
func TestOneTerminalResultBetweenNodes(t *testing.T) {
	n := startNodes(t, webflow.Options{})
	for i := range 200 {
		id := fmt.Sprint(i)
		open(t, n.fa, id, user("alice"))
		c := page(t, n.b, "alice", "auto")
		c.register("ws-" + id)
		results := []string{"CONFIRMED", "CANCELED"}
		errs := make([]error, 2)
		var all sync.WaitGroup
		for j, f := range []*webflow.Flow{n.fa, n.fb} {
			all.Go(func() { _, errs[j] = f.Notify(context.Background(), id, results[j]) })
		}
		testkit.Wait(t, &all)
		won := slices.Index(errs, nil)
		if won < 0 || errs[1-won] != webflow.ErrDecided {
			t.Fatalf("round %d: %v", i, errs)
		}
		if delivered, err := n.fa.Notify(t.Context(), id, results[won]); !delivered || err != nil {
			t.Fatalf("round %d: %v, %v", i, delivered, err)
		}
		want(t, c, accepted("ws-"+id), told("ws-"+id, results[won]))
		c.Close()
	}
}

// Interim results are counted over all nodes.
func TestInterimLimitSpansNodes(t *testing.T) {
	n := startNodes(t, webflow.Options{MaxInterim: 2})
	open(t, n.fa, "op", user("alice"))
	notify(t, n.fa, "op", "CONTINUE", false)
	notify(t, n.fb, "op", "CONTINUE", false)
	for _, f := range []*webflow.Flow{n.fa, n.fb} {
		if _, err := f.Notify(t.Context(), "op", "CONTINUE"); err == nil {
			t.Error("a third interim result")
		}
	}
}

// An announcement on one node takes the operation from a squatter on another.
func TestAnnouncingTakesFromSquattersElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNodes(t, webflow.Options{Registration: webflow.Open, PollInterval: -1})
		thief, alice := page(t, n.b, "thief", "client"), page(t, n.b, "alice", "client")
		thief.register("ws-op")
		token := webflow.Caller{PollToken: want(t, thief, accepted("ws-op"))[0].Get("poll-token")}
		if ok, err := n.fa.NotifyWebSocketID(t.Context(), "ws-op", "CONFIRMED"); !ok || err != nil {
			t.Fatal(ok, err)
		}
		thief.ack(want(t, thief, told("ws-op", "CONFIRMED"))[0])
		open(t, n.fa, "op", user("alice"))
		synctest.Wait()
		want(t, thief, superseded("ws-op"))
		thief.register("ws-op")
		want(t, thief, rejected("ws-op"))
		for _, f := range []*webflow.Flow{n.fa, n.fb} {
			if _, err := f.Result(t.Context(), "ws-op", token); err != webflow.ErrUnknown {
				t.Errorf("the thief's poll: %v", err)
			}
		}
		alice.register("ws-op")
		want(t, alice, accepted("ws-op"), told("ws-op", "CONFIRMED"))
		// The rightful owner keeps his registration.
		alice.register("ws-2")
		open(t, n.fa, "2", user("alice"))
		notify(t, n.fa, "2", "CONFIRMED", true)
		want(t, alice, accepted("ws-2"), told("ws-2", "CONFIRMED"))
		derived := webflow.WebSocketID("3")
		scoped := connect(t, n.b, "login", "visitor", "scopes", "operation:3")
		scoped.subscribe("r", subRegistration)
		scoped.register(derived)
		if _, err := n.fa.Open(t.Context(), webflow.Operation{ID: "3"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want(t, scoped, accepted(derived))
	})
}

// One operation has one id and one webSocketId, whatever the nodes.
func TestIDsAreUniqueBetweenNodes(t *testing.T) {
	n := startNodes(t, webflow.Options{})
	open(t, n.fa, "op", user("alice"))
	open(t, n.fb, "op", user("alice"))
	for name, o := range map[string]webflow.Operation{
		"another owner":               {ID: "op", WebSocketID: "ws-op", Owner: user("bob")},
		"another webSocketId":         {ID: "op", WebSocketID: "ws-other", Owner: user("alice")},
		"the derived webSocketId":     {ID: "op", Owner: user("alice")},
		"the webSocketId of another":  {ID: "other", WebSocketID: "ws-op", Owner: user("alice")},
		"the id of a derived one (1)": {ID: "derived", WebSocketID: "ws-derived"},
	} {
		if name == "the id of a derived one (1)" {
			if _, err := n.fa.Open(t.Context(), webflow.Operation{ID: "derived"}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := n.fb.Open(t.Context(), o); err != webflow.ErrExists {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range 200 {
		id := fmt.Sprint(i)
		errs := make([]error, 2)
		var all sync.WaitGroup
		for j, f := range []*webflow.Flow{n.fa, n.fb} {
			o := webflow.Operation{ID: id}
			if j == 1 {
				o.WebSocketID = "named-" + id
			}
			all.Go(func() { _, errs[j] = f.Open(context.Background(), o) })
		}
		testkit.Wait(t, &all)
		if errs[0] == nil && errs[1] == nil {
			t.Fatalf("round %d: two operations have one id", i)
		}
		for _, err := range errs {
			if err != nil && err != webflow.ErrExists {
				t.Fatalf("round %d: %v", i, errs)
			}
		}
	}
}

// A node that starts later knows what there is, and is told what waits there.
func TestNodeThatStartsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := webflow.NewMemory()
		_, f := start(t, webflow.Options{Store: store})
		open(t, f, "op", user("alice"))
		notify(t, f, "op", "CONFIRMED", false)
		_ = f.Close()
		b, f := start(t, webflow.Options{Store: store})
		if s := f.Stats(); s.Operations != 1 {
			t.Errorf("%+v", s)
		}
		c := page(t, b, "alice", "auto")
		c.register("ws-op")
		want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))
		later(5*time.Minute + 2*time.Second)
		if s := f.Stats(); s.Operations != 0 {
			t.Errorf("%+v", s)
		}
	})
}
