package store

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
)

const (
	// pullExpires is how long one request of messages waits in the engine.
	pullExpires   = 30 * time.Second
	pullHeartbeat = 10 * time.Second
	// pullSilence is how long the engine says nothing until a request counts as
	// lost.
	pullSilence = 25 * time.Second
	// pullBatch is how many messages of a queue are asked for at one time.
	pullBatch = 1000
)

// pull is a subscription for messages of the engine, and what was asked for
// through it.
type pull struct {
	sub      *nats.Subscription
	inbox    string
	messages int // asked for, and not come
	bytes    int64
	heard    time.Time
	ending   bool
	ended    chan struct{} // closed when nothing more comes
}

// request asks the engine for what is wanted, is not here and was not asked for.
// Several small requests are avoided: it asks again only when half of the earlier
// ones has come. What was asked for comes also if it is not wanted any more: it
// stays on the shelf. The caller holds the lock.
func (s *source) request() {
	if s.ended || s.consumer == nil || s.paused > 0 || s.pull != nil && s.pull.ending {
		return
	}
	want, room := -len(s.shelf), -s.shelfBytes
	for _, r := range s.readers {
		want, room = want+r.want, room+r.wantBytes
	}
	asked := 0
	if s.pull != nil {
		asked = s.pull.messages
	}
	need := min(want, pullBatch, s.pace()) - asked
	if need <= 0 || asked > want/2 {
		return
	}
	bytes := int64(0)
	if asked > 0 {
		bytes = s.pull.bytes
		room -= bytes
	}
	limit := ""
	switch {
	case room >= int64(s.q.o.maxMessage):
		limit = `,"max_bytes":` + strconv.FormatInt(room, 10)
	case asked == 0 && len(s.shelf) == 0:
		need, room = 1, max(room, 0) // one of any size
	default:
		return
	}
	if s.pull == nil && !s.subscribe() {
		return
	}
	text := fmt.Sprintf(`{"batch":%d,"expires":%d,"idle_heartbeat":%d%s}`, need, pullExpires, pullHeartbeat, limit)
	subject := "$JS.API.CONSUMER.MSG.NEXT." + s.q.names.stream + "." + s.consumer.name
	if err := s.q.o.Data.PublishRequest(subject, s.pull.inbox, []byte(text)); err != nil {
		return // the connection is lost, and the store fails
	}
	s.pull.messages = asked + need
	s.pull.bytes = bytes + room
	if asked == 0 {
		s.pull.heard = time.Now()
	}
}

// subscribe makes a pull. The caller holds the lock.
func (s *source) subscribe() bool {
	p := &pull{inbox: s.q.o.Data.NewInbox(), heard: time.Now(), ended: make(chan struct{})}
	sub, err := s.q.o.Data.Subscribe(p.inbox, func(m *nats.Msg) { s.message(p, m) })
	if err != nil {
		return false // the connection is lost, and the store fails
	}
	_ = sub.SetPendingLimits(-1, -1) // fails only if the subscription has ended
	sub.SetClosedHandler(func(string) { s.pullEnded(p) })
	p.sub = sub
	s.pull = p
	return true
}

// cancel takes back all requests. The caller holds the lock.
func (s *source) cancel() {
	p := s.pull
	if p == nil || p.ending {
		return
	}
	p.ending = true
	if err := p.sub.Drain(); err != nil {
		go s.pullEnded(p)
	}
}

// pullEnded is called when a canceled pull gets nothing any more.
func (s *source) pullEnded(p *pull) {
	s.mu.Lock()
	if s.pull != p {
		s.mu.Unlock()
		return
	}
	s.pull = nil
	s.request()
	s.mu.Unlock()
	close(p.ended)
}

// message takes what the engine sends to a pull.
func (s *source) message(p *pull, m *nats.Msg) {
	s.mu.Lock()
	more, _, _ := p.sub.Pending()
	p.heard = time.Now()
	if status := m.Header.Get("Status"); status != "" && len(m.Data) == 0 {
		s.status(p, m, status)
	} else {
		s.arrived(p, m)
	}
	s.mu.Unlock()
	if more <= 1 { // this one is counted
		s.offer()
	}
}

// status takes an answer without a message. The caller holds the lock.
func (s *source) status(p *pull, m *nats.Msg, status string) {
	text := m.Header.Get("Description")
	switch {
	case status == "100": // heart-beat
	case status == "408", status == "409" && strings.Contains(text, "MaxBytes"), status == "409" && strings.Contains(text, "Batch Completed"):
		n, _ := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		b, _ := strconv.ParseInt(m.Header.Get("Nats-Pending-Bytes"), 10, 64)
		p.messages = max(0, p.messages-n)
		p.bytes = max(0, p.bytes-b)
	case s.ended:
	default: // the consumer is not there
		if s.consumer != nil {
			s.q.consumers.lost(s.consumer)
		}
		go s.fail(fmt.Errorf("the engine does not read the queue any more: %s %s", status, text))
	}
}

// arrived takes a message. The caller holds the lock.
func (s *source) arrived(p *pull, m *nats.Msg) {
	p.messages = max(0, p.messages-1)
	p.bytes = max(0, p.bytes-int64(len(m.Subject)+len(m.Reply)+len(m.Data)))
	if s.ended {
		return // the consumer is made anew, see leave
	}
	sequence, delivered, stored, err := deliveryOf(m.Reply)
	if err != nil {
		s.q.log.Error("the engine delivered a message that cannot be acknowledged", "queue", s.queue.name, "error", err)
		return
	}
	put, err := parsePayload(m.Data)
	if err == nil && put.Queue != s.queue.name {
		err = errPayload
	}
	if err != nil {
		s.q.log.Error("a message of a queue cannot be read; it stays in the store and is not delivered", "queue", s.queue.name, "sequence", sequence, "error", err)
		s.q.later(m.Reply)
		return
	}
	if h := s.held[sequence]; h != nil { // the engine thought that we are dead
		h.reply = m.Reply
		return
	}
	h := &holding{reply: m.Reply, message: broker.StoredMessage{
		QueuePut: put, Sequence: sequence, Redelivered: delivered > 1 || sequence <= s.q.start.Load(), Put: stored,
	}}
	if departing, removed := s.q.ledger.departing(s.queue, sequence, delivered == 1, s, h); removed {
		s.q.dismiss(m.Reply)
		return
	} else if departing {
		return
	}
	s.q.ledger.load(payloadHead{put.Queue, put.Share, put.Size, milliseconds(put.Expires)}, sequence, stored.UnixMilli(), s.q.names.isReplacement(m.Subject))
	s.held[sequence] = h
	s.put(h)
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// deliveryOf reads the subject that acknowledges a message.
func deliveryOf(reply string) (sequence uint64, delivered int, stored time.Time, err error) {
	t := strings.Split(reply, ".")
	at := 4 // $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<of the consumer>.<nanoseconds>.…
	if len(t) >= 11 {
		at = 6 // $JS.ACK.<domain>.<account>.<stream>.<consumer>.…
	}
	if len(t) < 9 || t[0] != "$JS" || t[1] != "ACK" {
		return 0, 0, stored, fmt.Errorf("%w: the delivery %q", errAnswer, reply)
	}
	if delivered, err = strconv.Atoi(t[at]); err != nil {
		return 0, 0, stored, err
	}
	if sequence, err = strconv.ParseUint(t[at+1], 10, 64); err != nil {
		return 0, 0, stored, err
	}
	ns, err := strconv.ParseInt(t[at+3], 10, 64)
	return sequence, delivered, time.Unix(0, ns), err
}
