package checker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind says which promise a violation breaks. The package comment has the exact
// rules.
type Kind uint8

const (
	// Lost means that a message never arrived although its SEND has a RECEIPT.
	Lost Kind = iota + 1
	// Duplicate means that a message arrived again.
	Duplicate
	// OutOfOrder means that a message arrived after a later one.
	OutOfOrder
	// Misdelivered means that a message reached the wrong client.
	Misdelivered
	// RecoveredHole means that a message is missing after recovered:true.
	RecoveredHole
	// Uncommitted means that a message belongs to a transaction that was not
	// committed.
	Uncommitted
	// Corrupt means that nobody sent a message with this content.
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
	// Publisher is the session that made the SEND, zero if there was none.
	Publisher Who
	// Sent is the time of the SEND, and Receipted that of its RECEIPT, 0 if
	// there was none. Times count from the start of the run.
	Sent, Receipted time.Duration
	// Subscriber and Subscription got the message, or failed to get it. They
	// are zero for a queue message that nobody got.
	Subscriber   Who
	Subscription string
	// At is when the MESSAGE arrived, 0 if it is missing.
	At time.Duration
	// Detail says which rule was broken and why.
	Detail string
}

// String returns the violation as one line.
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

// Report is the result of a run.
type Report struct {
	// Violations are the first violations of each kind, sorted by kind, then by
	// the time when the message arrived or, if it never did, was sent.
	Violations []Violation
	// Total is the number of all violations, which may be more than are listed.
	Total int
	// Kinds is the number of violations of each kind.
	Kinds map[Kind]int
}

// String returns a line per violation, and how many are not listed.
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

// add counts a violation, and lists it unless there are too many of its kind.
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
