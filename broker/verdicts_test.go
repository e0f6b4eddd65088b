package broker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// What is remembered is counted in bytes, and forgetting all of it makes room for
// as much again: a session that renews its credential often remembers as many
// answers as another one.
func TestForgottenVerdictsTakeNoRoom(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer closes(t, b)
	j := newJudge(&session{b: b})
	fit := maxVerdictBytes / (verdictOverhead + 100)
	for range 3 {
		for i := range fit {
			j.remember(fmt.Sprintf("%0100d", i), verdict{allowed: true})
		}
		if n := len(j.verdicts); n != fit || j.verdictBytes > maxVerdictBytes {
			t.Errorf("%d of %d answers are remembered, in %d bytes", n, fit, j.verdictBytes)
		}
		j.forget()
	}
	if len(j.verdicts) != 0 || j.verdictBytes != 0 {
		t.Errorf("%d answers in %d bytes are left", len(j.verdicts), j.verdictBytes)
	}
	j.remember("/topic/a", verdict{allowed: true})
	j.remember("/topic/a", verdict{}) // another answer takes the place of the first
	if want := verdictOverhead + len("/topic/a"); j.verdictBytes != want || j.remembered("/topic/a") != unanswered {
		t.Errorf("two answers about one destination take %d bytes, want %d", j.verdictBytes, want)
	}
}

// A remembered destination does not keep the message alive that it came with.
func TestVerdictsHoldNoMessages(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer closes(t, b)
	j := newJudge(&session{b: b})
	before := testkit.Heap()
	const n = 100
	for i := range n {
		frame := fmt.Sprintf("/topic/%03d", i) + strings.Repeat("x", 64<<10)
		j.remember(frame[:len("/topic/000")], verdict{allowed: true})
	}
	if held := testkit.Heap() - before; held > 1<<20 {
		t.Errorf("%d answers hold %d bytes", n, held)
	}
	if len(j.verdicts) != n {
		t.Errorf("%d answers are remembered, want %d", len(j.verdicts), n)
	}
}

// A filter that is closed lets nothing in, and what waited for it counts no more.
func TestClosedFilterHoldsNothing(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer closes(t, b)
	s := &session{b: b}
	s.principal.Store(new(auth.Principal))
	f := newFilter(&subscriber{s: s}, false)
	f.j.workers = maxQuestions // nobody answers
	deliver := func() bool {
		bt := b.newBatch()
		defer bt.release()
		var p publication
		p.set(&Message{Destination: "/topic/a", Body: make([]byte, 1000)}, "/topic/a")
		return f.offer(&p, bt)
	}
	if !deliver() || len(f.waiting) != 1 || f.j.bytes < 1000 {
		t.Fatalf("%d messages of %d bytes wait", len(f.waiting), f.j.bytes)
	}
	f.close()
	if f.j.bytes != 0 || len(f.waiting) != 0 {
		t.Errorf("%d messages of %d bytes are left", len(f.waiting), f.j.bytes)
	}
	if deliver() || f.j.bytes != 0 || len(f.waiting) != 0 {
		t.Errorf("after its end %d messages of %d bytes wait", len(f.waiting), f.j.bytes)
	}
}

// A denial is asked about again after a while, an answer in the affirmative is not.
func TestDenialsAreRememberedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Options{Authenticator: auth.Anonymous})
		if err != nil {
			t.Fatal(err)
		}
		j := newJudge(&session{b: b})
		j.remember("/topic/yes", verdict{allowed: true})
		j.remember("/topic/no", verdict{until: b.now() + rememberDenial})
		time.Sleep(time.Duration(rememberDenial) - time.Second)
		if got := j.remembered("/topic/no"); got != refused {
			t.Errorf("shortly after the denial the answer is %v", got)
		}
		time.Sleep(2 * time.Second)
		if got := j.remembered("/topic/no"); got != unanswered {
			t.Errorf("after a while the answer is %v", got)
		}
		if got := j.remembered("/topic/yes"); got != allowed {
			t.Errorf("what was allowed is now %v", got)
		}
		_ = b.Close()
	})
}
