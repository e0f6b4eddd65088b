package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

// userBuckets is how many subjects the users share.
const userBuckets = 1024

// bucketOf returns the bucket of a user.
func bucketOf(user string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user)) // never fails
	return int(h.Sum32() % userBuckets)
}

// bucket is where the nodes listen that have a user in a bucket.
func (s subjects) bucket(n int) string { return fmt.Sprintf("%s.u.%03x", s.prefix, n) }

// asked is where all nodes listen for questions, askedOf where one does.
func (s subjects) asked() string { return s.prefix + ".d" }

func (s subjects) askedOf(node string) string { return s.node(node) + ".d" }

// answers is where one node listens for answers and outcomes.
func (s subjects) answers(node string) string { return s.node(node) + ".a" }

// questionVersion marks a question, which has the head of an envelope.
const questionVersion = 0x80 | envelopeVersion

const (
	questionRedelivered = 1 << iota
	questionSettles
)

// isQuestion reports whether bytes are a question and not an envelope.
func isQuestion(b []byte) bool { return len(b) > 0 && b[0] == questionVersion }

// appendQuestion encodes a question:
//
//	u8 version | node | u64 number | u64 origin | u64 id | u8 kind | u8 flags |
//	text user | text session | text text | text revoked user |
//	text revoked session | text revoked credential | message
//
// With the id 0 nobody waits for an answer.
func appendQuestion(b []byte, node string, number, id uint64, q *broker.Question) []byte {
	b = appendHead(b, questionVersion, node, number, q.Message.Origin)
	b = binary.BigEndian.AppendUint64(b, id)
	flags := byte(0)
	if q.Redelivered {
		flags |= questionRedelivered
	}
	if q.Settled != nil {
		flags |= questionSettles
	}
	b = append(b, byte(q.Kind), flags)
	for _, s := range []string{q.User, q.Session, q.Text, q.Revocation.User, q.Revocation.Session, q.Revocation.Credential} {
		b = appendText(b, s)
	}
	return appendRest(appendText(b, q.Message.Destination), &q.Message)
}

// questionHead is the size of what precedes the texts of a question.
const questionHead = envelopeHead + 8 + 2

var errQuestion = errors.New("cluster: a question is cut short or has bytes left")

// decodeQuestion reads a question. The body shares the memory of b.
func decodeQuestion(b []byte) (h head, id uint64, settles bool, q *broker.Question, err error) {
	if h, err = decodeHead(b); err != nil {
		return h, 0, false, nil, err
	}
	if len(b) < questionHead {
		return h, 0, false, nil, errQuestion
	}
	id = binary.BigEndian.Uint64(b[envelopeHead:])
	kind, flags := b[questionHead-2], b[questionHead-1]
	r := reader{rest: b[questionHead:]}
	q = &broker.Question{Kind: broker.QuestionKind(kind), Redelivered: flags&questionRedelivered != 0}
	q.User, q.Session, q.Text = string(r.text()), string(r.text()), string(r.text())
	q.Revocation = auth.Revocation{User: string(r.text()), Session: string(r.text()), Credential: string(r.text())}
	q.Message = r.message(h.origin, "")
	if r.failed || len(r.rest) > 0 {
		return h, id, false, nil, errQuestion
	}
	return h, id, flags&questionSettles != 0, q, nil
}

// questionID returns the id of a question, its kind, and whether it has them.
func questionID(b []byte) (id uint64, kind byte, ok bool) {
	if len(b) < questionHead {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(b[envelopeHead:]), b[questionHead-2], true
}

// reply is what comes back to the node that has asked.
type reply struct {
	kind    byte
	node    string // that has answered
	id      uint64 // of the question
	answer  broker.Answer
	session string
	outcome broker.Outcome
}

const (
	replyAnswer  = iota + 1 // the answer
	replyRefused            // too much waits there
	replyOutcome            // of a delivery
)

// encode encodes a reply:
//
//	u8 version | u8 kind | node | u64 id | uvarint subscriptions |
//	uvarint unacknowledged | uvarint sessions | u8 outcome | text session
func (r *reply) encode() []byte {
	b := append(make([]byte, 0, 64), envelopeVersion, r.kind)
	b = binary.BigEndian.AppendUint64(append(b, r.node...), r.id)
	for _, n := range []int{r.answer.Subscriptions, r.answer.Unacknowledged, r.answer.Sessions} {
		b = binary.AppendUvarint(b, uint64(n)) //nolint:gosec // counts
	}
	return appendText(append(b, byte(r.outcome)), r.session)
}

// maxCount bounds what one node may say that it has.
const maxCount = 1 << 40

func decodeReply(b []byte) (*reply, error) {
	if len(b) < noteSize || b[0] != envelopeVersion {
		return nil, fmt.Errorf("cluster: a reply of %d bytes that this version cannot read", len(b))
	}
	r := &reply{kind: b[1], node: string(b[2 : 2+nodeIDSize]), id: binary.BigEndian.Uint64(b[2+nodeIDSize:])}
	rest := reader{rest: b[noteSize:]}
	for _, n := range []*int{&r.answer.Subscriptions, &r.answer.Unacknowledged, &r.answer.Sessions} {
		*n = int(min(rest.uvarint(), maxCount)) //nolint:gosec // it is bounded
	}
	if len(rest.rest) > 0 {
		r.outcome = broker.Outcome(rest.rest[0])
		rest.rest = rest.rest[1:]
	} else {
		rest.failed = true
	}
	r.session = string(rest.text())
	if rest.failed || len(rest.rest) > 0 || r.outcome > broker.Lost {
		return nil, fmt.Errorf("cluster: a reply of %d bytes that is cut short or wrong", len(b))
	}
	return r, nil
}
