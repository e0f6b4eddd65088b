package webflow_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/frames"
)

// The model predicts, for any history of a few operations and sessions, exactly
// what each session receives and which callbacks run.

const (
	modelTTL   = 60 * time.Second
	modelGrace = 10 * time.Second
)

type modelOperation struct {
	expires time.Time
	at      *modelSession
	since   int       // step of the registration
	grace   time.Time // zero: none

	result  string
	acked   bool
	pending bool
	waiting int // deliveries without an ACK or NACK
}

type modelSession struct {
	*client
	node   int
	user   string
	mode   string                    // mode of the authorization subscription, "" without
	listen bool                      // has the registration subscription
	held   []string                  // replies
	want   []string                  // what it should have received
	open   map[string]*frames.Frame  // by message text: what it has to acknowledge
	of     map[string]*modelDelivery // their state
}

type modelDelivery struct {
	op     *modelOperation
	result string
}

type model struct {
	t        *testing.T
	b        []*broker.Broker
	f        []*webflow.Flow
	steps    int
	ops      map[string]*modelOperation
	sessions []*modelSession
	diary    diary
	events   []string
}

func terminal(r string) bool { return r != "AUTH_FAILED" }

// step is one event of a history.
type step struct {
	What    string
	Session int
	ID      string
	Result  string
	Mode    string
	Ack     bool
	Time    time.Duration
}

var steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
	return step{
		What: rapid.SampledFrom([]string{"open", "register", "register", "notify", "listen", "subscribe", "subscribe", "unsubscribe",
			"answer", "lose", "wait"}).Draw(t, "what"),
		Session: rapid.IntRange(0, 2).Draw(t, "session"),
		ID:      rapid.SampledFrom([]string{"1", "2"}).Draw(t, "id"),
		Result:  rapid.SampledFrom([]string{"CONFIRMED", "CANCELED", "AUTH_FAILED"}).Draw(t, "result"),
		Mode:    rapid.SampledFrom([]string{"auto", "client-individual"}).Draw(t, "mode"),
		Ack:     rapid.Bool().Draw(t, "ack"),
		Time:    rapid.SampledFrom([]time.Duration{time.Second, 9 * time.Second, 31 * time.Second}).Draw(t, "time"),
	}
}), 1, 60)

// TestModel compares the Flow with the model for random histories of
// announcing, registering, reporting, losing, returning, acknowledging and
// expiring: on one node and on three, each call and session on another one, and
// with a Store that loses races and answers.
func TestModel(t *testing.T) {
	memory := func() webflow.Store { return webflow.NewMemory() }
	for name, c := range map[string]struct {
		nodes int
		store func() webflow.Store
	}{
		"one node":             {1, memory},
		"three nodes":          {3, memory},
		"three distant nodes":  {3, func() webflow.Store { return &unkind{Store: webflow.NewMemory()} }},
		"one node, slow store": {1, func() webflow.Store { return &unkind{Store: webflow.NewMemory()} }},
	} {
		t.Run(name, func(t *testing.T) { testModel(t, c.nodes, c.store) })
	}
}

func testModel(t *testing.T, nodes int, store func() webflow.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		history := steps.Draw(rt, "history")
		var wrong disagreement
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if v := recover(); v != nil {
					var ok bool
					if wrong, ok = v.(disagreement); !ok {
						panic(v)
					}
				}
			}()
			runModel(t, history, nodes, store())
		})
		if wrong != "" {
			rt.Fatal(string(wrong))
		}
	})
}

// disagreement is the value with which a model panics, because a failure inside
// the bubble must reach rapid outside.
type disagreement string

func (m *model) fatalf(format string, args ...any) { panic(disagreement(fmt.Sprintf(format, args...))) }

func runModel(t *testing.T, history []step, nodes int, store webflow.Store) {
	m := &model{t: t, ops: map[string]*modelOperation{}}
	for range nodes {
		b, err := broker.New(broker.Options{Authenticator: credentials, Authorizer: auth.Open()})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		f, err := webflow.New(b, m.diary.in(webflow.Options{TTL: modelTTL, Grace: modelGrace, Store: store}))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		m.b, m.f = append(m.b, b), append(m.f, f)
	}
	for _, u := range []string{"alice", "alice", "mallory"} {
		s := &modelSession{user: u, node: len(m.sessions) % nodes}
		m.sessions = append(m.sessions, s)
		m.connect(s)
	}
	for _, st := range history {
		s := m.sessions[st.Session]
		switch st.What {
		case "open":
			m.open(st.ID)
		case "register":
			m.register(s, st.ID)
		case "notify":
			m.notify(st.ID, st.Result)
		case "listen":
			m.listen(s)
		case "subscribe":
			m.subscribe(s, st.Mode)
		case "unsubscribe":
			m.unsubscribe(s)
		case "answer":
			m.answer(s, st.Ack)
		case "lose":
			m.lose(s)
			m.connect(s)
		case "wait":
			m.wait(st.Time)
		}
		m.check()
	}
}

func (m *model) connect(s *modelSession) {
	t := m.t
	*s = modelSession{user: s.user, node: s.node, client: &client{Client: brokertest.Connect(t, m.b[s.node], "login", s.user), t: t}, open: map[string]*frames.Frame{}, of: map[string]*modelDelivery{}}
}

func (m *model) event(name, id string) { m.events = append(m.events, name+" "+id) }

// flow returns a node that the program calls, each time another one.
func (m *model) flow() *webflow.Flow {
	m.steps++
	return m.f[m.steps%len(m.f)]
}

func (m *model) open(id string) {
	if _, err := m.flow().Open(m.t.Context(), webflow.Operation{ID: id, WebSocketID: "ws-" + id, Owner: user("alice")}); err != nil {
		m.fatalf("%v", err)
	}
	op := m.ops[id]
	if op == nil {
		op = &modelOperation{}
		m.ops[id] = op
	}
	if e := time.Now().Add(modelTTL); e.After(op.expires) {
		op.expires = e
	}
}

func (m *model) reply(s *modelSession, text string) {
	if s.listen {
		s.want = append(s.want, text)
	} else {
		s.held = append(s.held, text)
	}
}

func (m *model) register(s *modelSession, id string) {
	s.register("ws-" + id)
	op := m.ops[id]
	if op == nil || s.user != "alice" {
		m.reply(s, rejected("ws-"+id))
		return
	}
	if op.at != s {
		if op.at != nil {
			m.reply(op.at, superseded("ws-"+id))
		}
		op.at, op.grace, op.waiting = s, time.Time{}, 0
		m.steps++
		op.since = m.steps
		op.pending = op.result != "" && !op.acked
		m.event("registered", id)
	} else {
		op.pending = op.pending || op.result != "" && !op.acked && op.waiting == 0
	}
	m.reply(s, accepted("ws-"+id))
	m.deliver(id)
}

// deliver runs when there may be a result to hand out.
func (m *model) deliver(id string) {
	op := m.ops[id]
	if op == nil || !op.pending || op.at == nil || op.at.mode == "" {
		return
	}
	s := op.at
	text := told("ws-"+id, op.result)
	s.want = append(s.want, text)
	op.pending = false
	if s.mode != "auto" {
		op.waiting = 1
		s.of[text] = &modelDelivery{op, op.result}
	}
}

func (m *model) notify(id, result string) {
	_, err := m.flow().Notify(m.t.Context(), id, result)
	op := m.ops[id]
	var want error
	switch {
	case op == nil:
		want = webflow.ErrUnknown
	case terminal(op.result) && op.result != "":
		if op.result != result {
			want = webflow.ErrDecided
		}
	default:
		op.result, op.pending, op.acked, op.waiting = result, true, false, 0
		if terminal(result) {
			op.grace = time.Time{}
			if e := time.Now().Add(modelTTL); e.After(op.expires) {
				op.expires = e
			}
		}
		m.deliver(id)
	}
	if err != want {
		m.fatalf("Notify(%s, %s) = %v, want %v", id, result, err, want)
	}
}

func (m *model) listen(s *modelSession) {
	if s.listen {
		return
	}
	s.subscribe("r", subRegistration)
	s.listen = true
	s.want, s.held = append(s.want, s.held...), nil
}

func (m *model) subscribe(s *modelSession, mode string) {
	if s.mode != "" {
		return
	}
	s.client.subscribe("a", subAuthorization, "ack", mode)
	s.mode = mode
	for _, op := range s.registered(m) {
		m.deliver(op)
	}
}

// registered returns the ids that s waits for, in the order of registration.
func (s *modelSession) registered(m *model) []string {
	var ids []string
	for _, id := range []string{"1", "2"} {
		if op := m.ops[id]; op != nil && op.at == s {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(x, y string) int { return m.ops[x].since - m.ops[y].since })
	return ids
}

func (m *model) unsubscribe(s *modelSession) {
	if s.mode == "" {
		return
	}
	m.collect(s)
	s.unsubscribe("a")
	s.mode = ""
	for text := range s.of {
		m.unanswered(s, text)
	}
}

// unanswered handles a delivery that ended without an ACK or NACK.
func (m *model) unanswered(s *modelSession, text string) {
	d := s.of[text]
	delete(s.of, text)
	delete(s.open, text)
	if d.current(s) {
		d.op.waiting, d.op.pending = 0, true
	}
}

// current reports whether the delivery is of the latest result and
// registration.
func (d *modelDelivery) current(s *modelSession) bool {
	return d.op.at == s && d.op.result == d.result && d.op.waiting > 0
}

func (m *model) answer(s *modelSession, ack bool) {
	m.collect(s)
	for _, id := range []string{"1", "2"} {
		for _, r := range []string{"CONFIRMED", "CANCELED", "AUTH_FAILED"} {
			text := told("ws-"+id, r)
			fr, d := s.open[text], s.of[text]
			if fr == nil || d == nil {
				continue
			}
			delete(s.open, text)
			delete(s.of, text)
			live := d.current(s)
			if ack {
				s.client.ack(fr)
				if live {
					d.op.acked, d.op.waiting = true, 0
				}
			} else {
				s.client.nack(fr)
				if live {
					d.op.waiting = 0
				}
			}
			return
		}
	}
}

func (m *model) lose(s *modelSession) {
	m.collect(s)
	s.Close()
	for text := range s.of {
		m.unanswered(s, text)
	}
	synctest.Wait()
	for _, id := range []string{"1", "2"} {
		if op := m.ops[id]; op != nil && op.at == s {
			op.at = nil
			m.event("lost", id)
			if op.result == "" || !terminal(op.result) {
				op.grace = time.Now().Add(modelGrace)
			}
		}
	}
}

func (m *model) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// elapse does what the time that has passed does. Notify takes up to a second too,
// if the page is on another node.
func (m *model) elapse() {
	now := time.Now()
	for _, id := range []string{"1", "2"} {
		op := m.ops[id]
		if op == nil {
			continue
		}
		if !op.grace.IsZero() && !op.grace.After(now) && op.grace.Before(op.expires) {
			op.grace = time.Time{}
			m.event("abandoned", id)
		}
		if !op.expires.After(now) {
			if op.result == "" || !terminal(op.result) {
				m.event("expired", id)
			}
			delete(m.ops, id)
		}
	}
}

// collect reads what s has received and keeps what it can acknowledge.
func (m *model) collect(s *modelSession) {
	got := append(s.seen, s.Sync(s.t)...)
	s.seen = nil
	var texts []string
	for _, fr := range got {
		text := fr.Get("destination") + " " + string(fr.Body)
		texts = append(texts, text)
		if fr.Get("ack") != "" {
			s.open[text] = fr
		}
	}
	if !slices.Equal(texts, s.want) {
		m.fatalf("%s got\n%q\nwant\n%q", s.user, texts, s.want)
	}
	s.want = nil
}

func (m *model) check() {
	time.Sleep(100 * time.Microsecond) // for nodes that hear of changes late
	synctest.Wait()
	for _, s := range m.sessions {
		m.collect(s)
	}
	synctest.Wait()
	m.elapse()
	names, events := m.diary.take()
	var got []string
	for i := range names {
		got = append(got, names[i]+" "+events[i].OperationID)
	}
	slices.Sort(got) // events of the same moment have no fixed order
	slices.Sort(m.events)
	if !slices.Equal(got, m.events) {
		m.fatalf("callbacks %v, want %v", got, m.events)
	}
	m.events = nil
	registered := 0
	for _, op := range m.ops {
		if op.at != nil {
			registered++
		}
	}
	for _, f := range m.f {
		s := f.Stats()
		if s.Operations != len(m.ops) {
			m.fatalf("%+v, want %d operations", s, len(m.ops))
		}
		registered -= s.Registered
	}
	if registered != 0 {
		m.fatalf("%d registrations too few", registered)
	}
}
