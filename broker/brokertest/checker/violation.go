package checker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is the promise that a violation breaks. The package comment has the
// exact rules.
type Kind uint8

const (
	// Lost is a message that never came although its SEND has a RECEIPT.
	Lost Kind = iota + 1
	// Duplicate is a message that came again.
	Duplicate
	// OutOfOrder is a message that came after a later one.
	OutOfOrder
	// Misdelivered is a message for somebody else.
	Misdelivered
	// RecoveredHole is a message that is missing after recovered:true.
	RecoveredHole
	// Uncommitted is a message of a transaction that was not committed.
	Uncommitted
	// Corrupt is a message that nobody sent like that.
	Corrupt
)

var kinds = [...]string{"", "lost", "duplicate", "out of order", "misdelivered", "recovered over a hole", "uncommitted", "corrupt"}

func (k Kind) String() string { return kinds[k] }

// Violation is one broken promise.
type Violation struct {
	Kind Kind
	// Message is the SEND, and Destination where it went.
	Message     ID
	Destination string
	// Publisher made the SEND. It is zero if nobody did.
	Publisher Who
	// Sent is when, and Receipted when its RECEIPT came, 0 if never. Times are since
	// the beginning of the run.
	Sent, Receipted time.Duration
	// Subscriber and Subscription got the message, or did not get it. They are
	// zero for a queue message that nobody got.
	Subscriber   Who
	Subscription string
	// At is when the MESSAGE came, 0 if it is missing.
	At time.Duration
	// Detail says which rule was broken and why.
	Detail string
}

// String returns all of it in one line.
func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: message %v", v.Kind, v.Message)
	if v.Destination != "" {
		fmt.Fprintf(&b, " to %s by %v, sent at %v", v.Destination, v.Publisher, v.Sent)
		if v.Receipted != 0 {
			fmt.Fprintf(&b, ", receipted at %v", v.Receipted)
		}
	}
	if v.Subscriber != (Who{}) {
		fmt.Fprintf(&b, ", subscription %q of %v", v.Subscription, v.Subscriber)
	}
	if v.At != 0 {
		fmt.Fprintf(&b, ", received at %v", v.At)
	}
	b.WriteString(": ")
	b.WriteString(v.Detail)
	return b.String()
}

// Report is what a run has shown.
type Report struct {
	// Violations are the first of each kind, by kind, then in the order in which
	// their messages came or, if they never did, were sent.
	Violations []Violation
	// Total is how many there were; Violations may have fewer.
	Total int
	// Kinds is how many there were of each kind.
	Kinds map[Kind]int
}

// String returns a line for each violation, and how many are not listed.
func (r Report) String() string {
	var b strings.Builder
	for _, v := range r.Violations {
		fmt.Fprintln(&b, v)
	}
	if more := r.Total - len(r.Violations); more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	return b.String()
}

// add keeps a violation or counts it.
func (r *Report) add(v Violation, limit int) {
	r.Total++
	if r.Kinds == nil {
		r.Kinds = make(map[Kind]int)
	}
	r.Kinds[v.Kind]++
	if r.Kinds[v.Kind] <= limit {
		r.Violations = append(r.Violations, v)
	}
}

func (r *Report) sort(limit int) {
	slices.SortStableFunc(r.Violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.At, b.At), cmp.Compare(a.Sent, b.Sent),
			cmp.Compare(a.Message, b.Message))
	})
	r.Violations = r.Violations[:min(len(r.Violations), limit)]
}
