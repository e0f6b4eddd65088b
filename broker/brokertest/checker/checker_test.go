package checker

import (
	"strings"
	"testing"
	"time"
)

// story is a small run: a publisher, two subscribers, and steps.
type story struct {
	t        *testing.T
	c        *Checker
	pub      *Session
	ann, ben *Session
}

func newStory(t *testing.T, o Options) *story {
	c := New(o)
	who := func(user string) *Session { return c.Session(Who{Node: "a", User: user, Session: user + "-1"}) }
	return &story{t, c, who("pub"), who("ann"), who("ben")}
}

// topic subscribes, with a RECEIPT.
func (s *story) sub(who *Session, destination string, m Mode) *Subscription {
	u := who.Subscribe(destination, destination, m, nil)
	u.Receipted("")
	return u
}

// send is a SEND with its RECEIPT.
func (s *story) send(destination string) ID {
	id := s.pub.Send(destination, "")
	s.pub.Receipted(id)
	return id
}

func (s *story) get(u *Subscription, id ID) { s.again(u, id, false) }

func (s *story) again(u *Subscription, id ID, redelivered bool) {
	u.s.Message(Message{Subscription: u.id, Body: Body(id, 20), Redelivered: redelivered})
}

// want checks the kinds of the violations, in order, and a part of the first.
func (s *story) want(detail string, kinds ...Kind) {
	s.t.Helper()
	r := s.c.Report()
	var got []Kind
	for _, v := range r.Violations {
		got = append(got, v.Kind)
	}
	if len(got) != len(kinds) || r.Total != len(kinds) {
		s.t.Fatalf("got %d violations, want %v:\n%v", r.Total, kinds, r)
	}
	for i := range kinds {
		if got[i] != kinds[i] {
			s.t.Fatalf("want %v:\n%v", kinds, r)
		}
	}
	if !strings.Contains(r.String(), detail) {
		s.t.Errorf("no %q in:\n%v", detail, r)
	}
}

func TestStories(t *testing.T) {
	const topic, queue = "/topic/a", "/queue/a"
	for name, c := range map[string]struct {
		o      Options
		run    func(s *story)
		detail string
		want   []Kind
	}{
		"all is well": {run: func(s *story) {
			a, b := s.sub(s.ann, topic, Auto), s.sub(s.ben, "/topic/*", Auto)
			for range 3 {
				id := s.send(topic)
				s.get(a, id)
				s.get(b, id)
			}
		}},
		"a topic's message never comes": {run: func(s *story) {
			s.sub(s.ann, topic, Auto)
			s.send(topic)
		}, detail: "lost: message 0/0 to /topic/a by pub@a (pub-1), sent at ", want: []Kind{Lost}},
		"without a RECEIPT it may be missing": {run: func(s *story) {
			a := s.sub(s.ann, topic, Auto)
			s.pub.Send(topic, "")
			s.get(a, s.send(topic))
		}},
		"without the RECEIPT of SUBSCRIBE, too": {run: func(s *story) {
			s.ann.Subscribe("1", topic, Auto, nil)
			s.send(topic)
		}},
		"what was sent before is not owed": {run: func(s *story) {
			s.send(topic)
			s.sub(s.ann, topic, Auto)
		}},
		"a cut may have taken the last messages": {run: func(s *story) {
			s.sub(s.ann, topic, Auto)
			s.send(topic)
			s.ann.Cut()
		}},
		"but not one before others": {run: func(s *story) {
			a := s.sub(s.ann, topic, Auto)
			s.send(topic)
			s.get(a, s.send(topic))
			s.ann.Cut()
		}, detail: "has got the later message 0/1", want: []Kind{Lost}},
		"an unsubscribed one after the grace": {o: Options{Grace: 10 * time.Millisecond}, run: func(s *story) {
			a := s.sub(s.ann, topic, Auto)
			s.send(topic)
			s.c.last += 20 * time.Millisecond
			s.send(topic)
			a.Unsubscribe()
		}, detail: "was there for another", want: []Kind{Lost}},
		"a lost memory is no fault": {run: func(s *story) {
			s.sub(s.ann, topic, Auto)
			s.send(topic)
			s.send(queue)
			s.c.MemoryLost("a")
			s.c.Drained(queue)
		}},
		"twice to one subscription": {run: func(s *story) {
			a := s.sub(s.ann, topic, Auto)
			id := s.send(topic)
			s.get(a, id)
			s.again(a, id, true)
		}, detail: "has got it before", want: []Kind{Duplicate}},
		"the wrong order": {run: func(s *story) {
			a := s.sub(s.ann, topic, Auto)
			one, two := s.send(topic), s.send(topic)
			s.get(a, two)
			s.get(a, one)
		}, detail: "later message 0/1 before", want: []Kind{OutOfOrder}},
		"different destinations and publishers have no order": {run: func(s *story) {
			a := s.sub(s.ann, "/topic/*", Auto)
			one, two := s.send(topic), s.send("/topic/b")
			three := s.ben.Send(topic, "")
			for _, id := range []ID{three, two, one} {
				s.get(a, id)
			}
		}},
		"somebody else's subscription": {run: func(s *story) {
			b := s.sub(s.ben, "/user/queue/p", Auto)
			s.get(b, s.send("/user/ann/queue/p"))
		}, detail: "the subscription is for /user/queue/p", want: []Kind{Misdelivered}},
		"somebody who is not entitled": {
			o: Options{Entitled: func(user, _ string) bool { return user != "ben" }},
			run: func(s *story) {
				s.get(s.sub(s.ben, topic, Auto), s.send(topic))
			}, detail: "user ben is not entitled to it", want: []Kind{Misdelivered}},
		"a subscription that is not there": {run: func(s *story) {
			s.ann.Message(Message{Subscription: "none", Body: Body(s.send(topic), 0)})
		}, detail: "no such subscription", want: []Kind{Misdelivered}},
		"one that is not there any more": {run: func(s *story) {
			a := s.sub(s.ann, topic, Auto)
			one, two := s.send(topic), s.send(topic)
			a.Unsubscribe()
			s.get(a, one) // on its way
			a.Unsubscribed()
			s.get(a, two)
		}, detail: "after the RECEIPT of UNSUBSCRIBE", want: []Kind{Misdelivered}},
		"the destination of something else": {run: func(s *story) {
			s.sub(s.ann, topic, Auto)
			s.ann.Message(Message{Subscription: topic, Destination: "/topic/b", Body: Body(s.send(topic), 0)})
		}, detail: "names another destination", want: []Kind{Misdelivered}},
		"a message that nobody sent": {run: func(s *story) {
			s.get(s.sub(s.ann, topic, Auto), newID(0, 7))
		}, detail: "nobody sent it", want: []Kind{Corrupt}},
		"a changed body": {run: func(s *story) {
			s.sub(s.ann, topic, Auto)
			b := Body(s.send(topic), 30)
			b[20]++
			s.ann.Message(Message{Subscription: topic, Body: b})
		}, detail: "byte 20 of the body", want: []Kind{Corrupt}},
		"one message-id for two": {run: func(s *story) {
			s.sub(s.ann, topic, Auto)
			for range 2 {
				s.ann.Message(Message{Subscription: topic, MessageID: "m", Body: Body(s.send(topic), 0)})
			}
		}, detail: "message-id is that of message 0/0", want: []Kind{Corrupt}},

		"a queue's message goes to one": {run: func(s *story) {
			s.sub(s.ben, queue, Individual)
			s.get(s.sub(s.ann, queue, Individual), s.send(queue))
			s.c.Drained(queue)
		}},
		"a queue's message never comes": {run: func(s *story) {
			s.sub(s.ann, queue, Individual)
			s.send(queue)
			s.c.Drained(queue)
			s.send(queue) // too late to be judged
		}, detail: "no consumer of the queue got it", want: []Kind{Lost}},
		"while the queue is not drained it may": {run: func(s *story) { s.send(queue) }},
		"an auto consumer may have taken it along": {run: func(s *story) {
			s.sub(s.ann, queue, Auto)
			s.send(queue)
			s.ann.Cut()
			s.c.Drained(queue)
		}},
		"nobody gets what a dead consumer held": {run: func(s *story) {
			s.get(s.sub(s.ann, queue, Individual), s.send(queue))
			s.ann.Cut()
			s.c.Drained(queue)
		}, detail: "the consumer ended without an ACK", want: []Kind{Lost}},
		"somebody does": {run: func(s *story) {
			id := s.send(queue)
			s.get(s.sub(s.ann, queue, Individual), id)
			s.ann.Cut()
			s.again(s.sub(s.ben, queue, Individual), id, true)
			s.c.Drained(queue)
		}},
		"to two without redelivered": {run: func(s *story) {
			id := s.send(queue)
			s.get(s.sub(s.ann, queue, Individual), id)
			s.ann.Cut()
			s.get(s.sub(s.ben, queue, Individual), id)
		}, detail: "without redelivered:true", want: []Kind{Duplicate}},
		"again after the RECEIPT of the ACK": {run: func(s *story) {
			id := s.send(queue)
			a := s.sub(s.ann, queue, Individual)
			s.get(a, id)
			s.ann.Ack(a, id, "").Receipted()
			s.again(s.sub(s.ben, queue, Individual), id, true)
		}, detail: "was receipted at", want: []Kind{Duplicate}},
		"read late from a connection that was cut": {run: func(s *story) {
			id := s.send(queue)
			a, b := s.sub(s.ann, queue, Individual), s.sub(s.ben, queue, Individual)
			s.again(b, id, true)
			s.ben.Ack(b, id, "").Receipted()
			s.get(a, id) // it was the first, but the broker knew of the cut before
			s.ann.Cut()
			s.c.Drained(queue)
		}},
		"written after the ACK to a connection that was cut": {run: func(s *story) {
			one := s.send(queue)
			a, b := s.sub(s.ann, queue, Individual), s.sub(s.ben, queue, Individual)
			s.get(b, one)
			s.ben.Ack(b, one, "").Receipted()
			s.get(a, s.send(queue))
			s.again(a, one, true)
			s.ann.Cut()
		}, detail: "was receipted at", want: []Kind{Duplicate}},
		"again to the one who has acknowledged it": {run: func(s *story) {
			id := s.send(queue)
			a := s.sub(s.ann, queue, Individual)
			s.get(a, id)
			s.ann.Ack(a, id, "").Receipted()
			s.again(a, id, true)
			s.ann.Cut()
		}, detail: "was receipted at", want: []Kind{Duplicate}},
		"to two that were cut without redelivered": {run: func(s *story) {
			id := s.send(queue)
			s.get(s.sub(s.ann, queue, Individual), id)
			s.get(s.sub(s.ben, queue, Individual), id)
			s.ann.Cut()
			s.ben.Cut()
		}, detail: "without redelivered:true", want: []Kind{Duplicate}},
		"a cumulative ACK is for all before": {run: func(s *story) {
			a := s.sub(s.ann, queue, Client)
			one, two, three := s.send(queue), s.send(queue), s.send(queue)
			for _, id := range []ID{one, two, three} {
				s.get(a, id)
			}
			s.ann.Ack(a, two, "").Receipted()
			b := s.sub(s.ben, queue, Client)
			s.again(b, one, true)
			s.again(b, three, true)
		}, detail: "message 0/0 ", want: []Kind{Duplicate}},
		"an ACK in a transaction that is aborted is none": {run: func(s *story) {
			id := s.send(queue)
			a := s.sub(s.ann, queue, Individual)
			s.get(a, id)
			s.ann.Begin("t")
			s.ann.Ack(a, id, "t").Receipted()
			s.ann.Abort("t")
			s.again(s.sub(s.ben, queue, Individual), id, true)
		}},
		"a dead letter": {run: func(s *story) {
			id := s.send(queue)
			a := s.sub(s.ann, queue, Individual)
			s.get(a, id)
			s.ann.Nack(a, id, "")
			s.get(s.sub(s.ben, "/queue/DLQ.a", Individual), id)
			s.c.Drained(queue)
		}},
		"redelivered messages have no order": {run: func(s *story) {
			a := s.sub(s.ann, queue, Individual)
			one, two, three := s.send(queue), s.send(queue), s.send(queue)
			s.get(a, three)
			s.again(a, one, true)
			s.get(a, two)
		}, detail: "message 0/1 ", want: []Kind{OutOfOrder}},

		"a committed transaction": {run: func(s *story) {
			a := s.sub(s.ann, topic, Auto)
			s.pub.Begin("t")
			one := s.pub.Send(topic, "t")
			two := s.send(topic) // outside, and so before
			s.pub.Commit("t")
			s.get(a, two)
			s.get(a, one)
			s.pub.Committed("t")
		}},
		"a committed transaction that is lost": {run: func(s *story) {
			s.sub(s.ann, topic, Auto)
			s.pub.Begin("t")
			s.pub.Send(topic, "t")
			s.pub.Commit("t")
			s.pub.Committed("t")
		}, detail: "still open", want: []Kind{Lost}},
		"its SENDs' own RECEIPTs promise nothing": {run: func(s *story) {
			s.sub(s.ann, topic, Auto)
			s.pub.Begin("t")
			s.pub.Receipted(s.pub.Send(topic, "t"))
			s.pub.Commit("t")
		}},
		"an aborted one": {run: func(s *story) {
			a := s.sub(s.ann, topic, Auto)
			s.pub.Begin("t")
			id := s.pub.Send(topic, "t")
			s.pub.Abort("t")
			s.get(a, id)
		}, detail: "was not committed", want: []Kind{Uncommitted}},
		"one before its COMMIT": {run: func(s *story) {
			a := s.sub(s.ann, topic, Auto)
			s.pub.Begin("t")
			s.get(a, s.pub.Send(topic, "t"))
			s.pub.Commit("t")
		}, detail: "was not committed", want: []Kind{Uncommitted}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t, c.o)
			c.run(s)
			s.want(c.detail, c.want...)
		})
	}
}

// A subscription that continues another, with events in between.
func TestRecovered(t *testing.T) {
	const topic = "/topic/a"
	for name, c := range map[string]struct {
		receipt, message string
		repaired         bool
		want             []Kind
	}{
		"no word":                      {},
		"false in the RECEIPT":         {receipt: "false"},
		"true in the RECEIPT":          {receipt: "true", want: []Kind{RecoveredHole}},
		"true in a MESSAGE":            {message: "true", want: []Kind{RecoveredHole}},
		"true, and nothing is missing": {receipt: "true", repaired: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t, Options{})
			first := s.sub(s.ann, topic, Auto)
			s.get(first, s.send(topic))
			missed := s.send(topic) // on its way
			s.ann.Cut()
			back := s.c.Session(Who{User: "ann", Session: "2"})
			second := back.Subscribe("9", topic, Auto, first)
			second.Receipted(c.receipt)
			if c.repaired {
				s.get(second, missed)
			}
			back.Message(Message{Subscription: "9", Recovered: c.message, Body: Body(s.send(topic), 0)})
			s.want("", c.want...)
		})
	}
	t.Run("true after false", func(t *testing.T) {
		s := newStory(t, Options{})
		first := s.sub(s.ann, topic, Auto)
		s.get(first, s.send(topic))
		s.ann.Cut()
		s.send(topic) // nobody gets it
		second := s.ben.Subscribe("9", topic, Auto, first)
		second.Receipted("false")
		s.get(second, s.send(topic))
		s.ben.Cut()
		back := s.c.Session(Who{User: "ann", Session: "2"})
		third := back.Subscribe("9", topic, Auto, second)
		third.Receipted("true") // after what the second got
		back.Message(Message{Subscription: "9", Body: Body(s.send(topic), 0)})
		s.want("")
	})
	t.Run("it comes again", func(t *testing.T) {
		s := newStory(t, Options{})
		first := s.sub(s.ann, topic, Auto)
		one, two := s.send(topic), s.send(topic)
		s.get(first, one)
		s.get(first, two)
		s.ann.Cut()
		second := s.ben.Subscribe("9", topic, Auto, first)
		second.Receipted("true")
		s.get(second, one)
		s.want("has got it before", Duplicate)
	})
}

// A reader that has not noticed yet that its connection is cut may subscribe.
func TestSubscriptionOfAnEndedSession(t *testing.T) {
	s := newStory(t, Options{})
	s.ann.Cut()
	s.sub(s.ann, "/topic/a", Auto)
	s.send("/topic/a")
	s.want("")
}

func TestOutstanding(t *testing.T) {
	s := newStory(t, Options{})
	a, q := s.sub(s.ann, "/topic/a", Auto), s.sub(s.ben, "/queue/a", Individual)
	one, two := s.send("/topic/a"), s.send("/queue/a")
	for want := 2; ; want-- {
		if got := s.c.Outstanding(); got != want {
			t.Fatalf("%d are outstanding, want %d", got, want)
		}
		switch want {
		case 2:
			s.get(a, one)
		case 1:
			s.get(q, two)
		default:
			if n := s.c.Counts(); n != (Counts{Sends: 2, Receipted: 2, Messages: 2}) {
				t.Errorf("counts are %+v", n)
			}
			return
		}
	}
}

// A report is limited, whatever the broker does.
func TestReportIsBounded(t *testing.T) {
	s := newStory(t, Options{Violations: 10})
	a := s.sub(s.ann, "/topic/a", Auto)
	id := s.send("/topic/a")
	for range 100 {
		s.get(a, id)
		s.ann.Message(Message{Subscription: a.id, Body: []byte("0000000900000009")})
	}
	r := s.c.Report()
	if len(r.Violations) != 10 || r.Total != 199 {
		t.Errorf("%d of %d violations are listed, want 10 of 199", len(r.Violations), r.Total)
	}
	if !strings.HasSuffix(r.String(), "and 189 more\n") {
		t.Errorf("got %s", r)
	}
}

func TestBody(t *testing.T) {
	id := newID(3, 1<<20)
	for _, size := range []int{0, 16, 17, 1000} {
		b := Body(id, size)
		if got, err := ParseBody(b); err != nil || got != id || len(b) != max(size, 16) {
			t.Errorf("%d: got %v, %v, %d bytes", size, got, err, len(b))
		}
	}
	for _, b := range []string{"", "0123", "000000000000000x", "00000000000000FF", "0000000000000001zz"} {
		if id, err := ParseBody([]byte(b)); err == nil {
			t.Errorf("%q is %v", b, id)
		}
	}
}
