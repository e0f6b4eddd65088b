package checker

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The proof that needs no socket: a tiny broker that spoils one message in
// 10,000. Package mutant does the same with the real one.

const spoilOneIn = 10_000

// toy is that broker: two subscribers of a topic, two acknowledging consumers
// of a queue, and a private destination.
type toy struct {
	rnd      *rand.Rand
	mutant   string
	victim   int // which MESSAGE is spoilt
	sent     int
	spoilt   int
	held     func() // a delivery that was put off
	ann, ben *Session
}

func (b *toy) deliver(s *Session, sub string, id ID, redelivered bool) {
	b.sent++
	hit := b.sent == b.victim
	say := func(s *Session, sub string) {
		if _, u := s.Message(Message{Subscription: sub, Body: Body(id, 0), Redelivered: redelivered}); u != nil && u.mode == Individual {
			s.Ack(u, id, "").Receipted()
		}
	}
	if hit {
		b.spoilt++
		switch b.mutant {
		case "lose":
			return
		case "double":
			say(s, sub)
		case "reorder":
			b.held = func() { say(s, sub) }
			return
		case "misdeliver":
			if s == b.ann {
				s = b.ben
			} else {
				s = b.ann
			}
		}
	}
	say(s, sub)
	if b.held != nil && sub == "topic" && s == b.ann {
		b.held()
		b.held = nil
	}
}

func runToy(mutant string, seed uint64) (*toy, Report) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	c := New(Options{})
	who := func(user string) *Session { return c.Session(Who{Node: "a", User: user, Session: user}) }
	b := &toy{rnd: rnd, mutant: mutant, ann: who("ann"), ben: who("ben")}
	if mutant != "" && mutant != "recovered" {
		b.victim = 1 + rnd.IntN(spoilOneIn-10)
	}
	for _, s := range []*Session{b.ann, b.ben} {
		s.Subscribe("topic", "/topic/a", Auto, nil).Receipted("")
		s.Subscribe("queue", "/queue/a", Individual, nil).Receipted("")
		s.Subscribe("own", "/user/queue/p", Auto, nil).Receipted("")
	}
	pub := who("pub")
	for b.sent < spoilOneIn {
		destination, to, sub := "/topic/a", b.ann, "topic"
		switch kind := rnd.IntN(3); {
		case mutant == "reorder" || mutant == "recovered": // topics only
		case kind == 1 && mutant != "misdeliver":
			destination, sub = "/queue/a", "queue"
		case kind == 2 || mutant == "misdeliver":
			destination, sub = "/user/ann/queue/p", "own"
		}
		id := pub.Send(destination, "")
		b.deliver(to, sub, id, false)
		if sub == "topic" {
			if mutant == "reorder" {
				b.ben.Message(Message{Subscription: sub, Body: Body(id, 0)})
			} else {
				b.deliver(b.ben, sub, id, false)
			}
		}
		pub.Receipted(id)
	}
	if mutant == "recovered" {
		old := b.ann.subs["topic"]
		b.ann.Cut()
		id := pub.Send("/topic/a", "")
		b.ben.Message(Message{Subscription: "topic", Body: Body(id, 0)})
		pub.Receipted(id)
		who("ann").Subscribe("topic", "/topic/a", Auto, old).Receipted("true")
		b.spoilt++
	}
	c.Drained("/queue/a")
	return b, c.Report()
}

func TestEachMutantIsCaught(t *testing.T) {
	for mutant, want := range map[string]Kind{
		"": 0, "lose": Lost, "double": Duplicate, "reorder": OutOfOrder, "misdeliver": Misdelivered, "recovered": RecoveredHole,
	} {
		t.Run("mutant "+mutant, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(20) {
				b, r := runToy(mutant, seed)
				if mutant == "" {
					if r.Total != 0 {
						t.Fatalf("seed %d: a faultless broker has violations:\n%v", seed, r)
					}
					if seed == 2 {
						return
					}
					continue
				}
				if b.spoilt != 1 || r.Kinds[want] == 0 {
					t.Errorf("seed %d: %d messages were spoilt, the report is:\n%v", seed, b.spoilt, r)
				}
				if other := fmt.Sprint(r); mutant == "double" && r.Total != 1 {
					t.Errorf("seed %d: one fault is %d violations:\n%s", seed, r.Total, other)
				}
			}
		})
	}
}

// The same run gives the same report.
func TestReportIsDeterministic(t *testing.T) {
	clean := func(r Report) (text string) {
		for _, v := range r.Violations {
			v.At, v.Sent, v.Receipted, v.Detail = 0, 0, 0, ""
			text += v.String() + "\n"
		}
		return text
	}
	_, a := runToy("misdeliver", 1)
	_, b := runToy("misdeliver", 1)
	if clean(a) == "" || clean(a) != clean(b) {
		t.Errorf("got\n%v\nand\n%v", a, b)
	}
}
