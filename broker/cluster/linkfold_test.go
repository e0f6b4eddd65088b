//go:build !nostore

package cluster

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/topics"
)

// reporter reports interests as a broker does, in order.
type reporter struct {
	links *Links
	last  uint64
}

func (r *reporter) report(wanted bool, destinations ...string) {
	for _, d := range destinations {
		r.last++
		r.links.Interest(topics.Interest{Destination: d, Wanted: wanted, Generation: r.last})
	}
}

// later returns a time when the interests that have ended until now are over.
func later() time.Time { return time.Now().Add(leaveAfter + time.Second) }

func destinations(format string, n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(format, i))
	}
	return list
}

func wantSubjects(t *testing.T, l *Links, subjects, folds int, when string) {
	t.Helper()
	if s := l.Stats(); s.Subjects != subjects || s.Folds != folds {
		t.Errorf("%s: %d subjects, of them %d folds, want %d and %d", when, s.Subjects, s.Folds, subjects, folds)
	}
}

// Over the limit, the heaviest part of the interests becomes a wildcard. What it
// replaces goes when every live node knows the wildcard, and comes back when half
// of the limit is enough: then the wildcard goes last.
func TestInterestsFold(t *testing.T) {
	p := newPair(t, LinksOptions{Interests: 40}, nil)
	always := p.links.o.Conn.NumSubscriptions()
	p.join(t, 1)
	r := reporter{links: p.links}
	r.report(true, destinations("/topic/a/%d", 20)...)
	r.report(true, destinations("/topic/b/%d/x", 20)...)
	wantSubjects(t, p.links, 40, 0, "at the limit")
	r.report(true, "/topic/a/more")
	question := p.expect(t, noteQuestion) // though nobody waits for a receipt
	wantSubjects(t, p.links, 42, 1, "before the other node knows the wildcard")

	// What comes meanwhile is not known before the wildcard is.
	r.report(true, "/topic/a/late")
	answer := p.settle(r.last)
	waits(t, answer)
	p.answer(t, question)
	question = p.expect(t, noteQuestion)
	waits(t, answer)
	p.answer(t, question)
	settled(t, answer)
	brokertest.Eventually(t, "what the wildcard covers has gone", func() bool { return p.links.Stats().Subjects == 21 })
	wantSubjects(t, p.links, 21, 1, "folded")
	r.report(true, "/topic/a/later")
	settled(t, p.settle(r.last)) // at once: the other node knows it already

	// A node that comes unsettles the wildcard as any interest.
	p.say(t, noteBye, 0)
	p.live(t, 1)
	p.join(t, 1)
	answer = p.settle(1)
	question = p.expect(t, noteQuestion)
	waits(t, answer)
	p.answer(t, question)
	settled(t, answer)

	// Just above half of the limit nothing changes.
	r.report(false, destinations("/topic/b/%d/x", 20)...)
	r.report(false, "/topic/a/later", "/topic/a/late")
	p.links.tidy(later())
	wantSubjects(t, p.links, 1, 1, "with 21 interests")
	r.report(false, "/topic/a/more")
	p.links.tidy(later())
	question = p.expect(t, noteQuestion)
	wantSubjects(t, p.links, 20, 0, "with 20 interests")
	if n := p.links.o.Conn.NumSubscriptions(); n != always+21 {
		t.Errorf("%d subscriptions: the wildcard went before what it covers was known", n)
	}
	p.answer(t, question)
	brokertest.Eventually(t, "the wildcard has gone", func() bool { return p.links.o.Conn.NumSubscriptions() == always+20 })
	for _, text := range []string{"many interests become one", "one for each again"} {
		if !p.log.has(text) {
			t.Errorf("the log does not say %q", text)
		}
	}
}

// A node that comes while a wildcard is made known has to know it, too.
func TestJoinWhileInterestsFold(t *testing.T) {
	p := newPair(t, LinksOptions{Interests: 8}, nil)
	p.join(t, 1)
	r := reporter{links: p.links}
	r.report(true, destinations("/topic/a/%d", 9)...)
	question := p.expect(t, noteQuestion)
	p.say(t, noteBye, 0)
	p.say(t, noteHello, 0)
	again := p.expect(t, noteQuestion)
	p.answer(t, question) // of the one before
	wantSubjects(t, p.links, 10, 1, "before the new node knows the wildcard")
	p.answer(t, again)
	brokertest.Eventually(t, "what the wildcard covers has gone", func() bool { return p.links.Stats().Subjects == 1 })
}

// Whatever comes and goes in whatever order: every interest is covered, once,
// and the node stays within its limit.
func TestFoldsCoverEverything(t *testing.T) {
	const limit = 32
	p := newPair(t, LinksOptions{Interests: limit}, nil)
	always := p.links.o.Conn.NumSubscriptions()
	r, random := reporter{links: p.links}, rand.New(rand.NewPCG(3, 4))
	name := func() string {
		d := "/topic"
		for range 1 + random.IntN(3) {
			d += fmt.Sprint("/", random.IntN(6))
		}
		return d + []string{"", "/*", "/**", "/x", "//y"}[random.IntN(5)]
	}
	wanted := make(map[string]bool)
	unfolded := 0
	for step := range 4_000 {
		most := 150
		if step/500%2 == 1 {
			most = 10 // few are left, so folds end
		}
		d := name()
		if len(wanted) > most {
			for d = range wanted {
				break
			}
		}
		if wanted[d] {
			r.report(false, d)
			delete(wanted, d)
		} else {
			r.report(true, d)
			wanted[d] = true
		}
		if step%10 == 0 {
			folds := p.links.Stats().Folds
			p.links.tidy(later())
			if p.links.Stats().Folds < folds {
				unfolded++
			}
		}
		covered(t, p.links, wanted)
		if step%100 == 0 {
			brokertest.Eventually(t, "the node is within its limit", func() bool {
				s := p.links.Stats() // a fold is one subject beside, for many
				return s.Subjects-s.Folds <= limit
			})
		}
	}
	if unfolded == 0 {
		t.Error("nothing was unfolded")
	}
	for d := range wanted {
		r.report(false, d)
	}
	brokertest.Eventually(t, "nothing is left", func() bool {
		p.links.tidy(later())
		return p.links.o.Conn.NumSubscriptions() == always
	})
	if s := p.links.Stats(); s.Interests != 0 || p.links.going != 0 {
		t.Errorf("%+v, %d", s, p.links.going)
	}
}

// covered fails the test unless each interest has its subscriptions, and each
// subscription as many users as there are interests.
func covered(t *testing.T, l *Links, wanted map[string]bool) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	users := 0
	for d := range wanted {
		if i := l.wanted[d]; !i.wanted || !i.held {
			t.Fatalf("%s is %+v", d, i)
		}
	}
	for d, i := range l.wanted {
		if !i.held {
			continue
		}
		for _, subject := range l.subject.interest(d) {
			users++
			if f := l.covering(subject); l.held[subject] == nil && (f == nil || !covers(f.sub.Subject, subject)) {
				t.Fatalf("%s of %s is not subscribed to", subject, d)
			}
		}
	}
	for subject, s := range l.held {
		if users -= s.users; s.users < 1 || s.sub.Subject != subject || !s.sub.IsValid() {
			t.Fatalf("%s has %+v", subject, s)
		}
	}
	for prefix, f := range l.folds {
		if users -= f.users; f.users < 0 || f.sub.Subject != prefix+".>" || !f.sub.IsValid() {
			t.Fatalf("%s has %+v", prefix, f)
		}
	}
	if users != 0 {
		t.Fatalf("%d users too few", users)
	}
}

// hold on nodes that fold and unfold while their clients subscribe.
func TestX2DuringFolding(t *testing.T) {
	nodes := threeNodes(t, 4)
	receiptsAreTrue(t, nodes, 40)
	ordersAreKept(t, nodes)
	for _, n := range nodes {
		if s := n.links.Stats(); s.Folds == 0 || s.Dropped+s.Unreadable > 0 {
			t.Errorf("%s: %+v", n.name, s)
		}
	}
}

// An interest under a fold costs no more than a place in a map.
func TestMemoryOfAFoldedInterest(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	const n, most = 100_000, 90
	p := newPair(t, LinksOptions{Interests: 1000}, nil)
	names := destinations("/topic/memory/%d", n)
	r := reporter{links: p.links}
	r.report(true, names[:2000]...)
	folded := func() {
		brokertest.Eventually(t, "they are folded", func() bool { s := p.links.Stats(); return s.Subjects <= 1000 && s.Folds > 0 })
	}
	folded()
	testkit.WantHeap(t, n*most, func() {
		r.report(true, names...)
		folded()
	})
	if s := p.links.Stats(); s.Interests != n {
		t.Errorf("%+v", s)
	}
	if !strings.HasPrefix(names[n-1], "/topic") {
		t.Error("the names are kept by the test")
	}
}
