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
	// pullBatch is how many messages one reader asks for at one time.
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

// request asks the engine for what is wanted and was not asked for. Several
// small requests are avoided: it asks again only when half of the earlier ones
// has come. The caller holds the lock.
func (r *reader) request() {
	if r.dead || r.consumer == nil || r.consumer.returning.Load() > 0 || r.paused > 0 || r.pull != nil && r.pull.ending {
		return
	}
	asked, bytes := 0, int64(0)
	if r.pull != nil {
		asked, bytes = r.pull.messages, r.pull.bytes
	}
	need := min(r.want-len(r.ready), pullBatch) - asked
	if need <= 0 || asked > (r.want-len(r.ready))/2 {
		return
	}
	if asked == 0 {
		bytes = 0
	}
	limit := ""
	switch room := r.wantBytes - bytes; {
	case room >= int64(r.q.o.maxMessage):
		bytes += room
		limit = `,"max_bytes":` + strconv.FormatInt(room, 10)
	case asked == 0:
		need, bytes = 1, r.wantBytes // one of any size
	default:
		return
	}
	if r.pull == nil && !r.subscribe() {
		return
	}
	text := fmt.Sprintf(`{"batch":%d,"expires":%d,"idle_heartbeat":%d%s}`, need, pullExpires, pullHeartbeat, limit)
	subject := "$JS.API.CONSUMER.MSG.NEXT." + r.q.names.stream + "." + r.consumer.name
	if err := r.q.o.Data.PublishRequest(subject, r.pull.inbox, []byte(text)); err != nil {
		return // the connection is lost, and the store fails
	}
	r.pull.messages = asked + need
	r.pull.bytes = bytes
	if asked == 0 {
		r.pull.heard = time.Now()
	}
}

// subscribe makes a pull. The caller holds the lock.
func (r *reader) subscribe() bool {
	p := &pull{inbox: r.q.o.Data.NewInbox(), heard: time.Now(), ended: make(chan struct{})}
	sub, err := r.q.o.Data.Subscribe(p.inbox, func(m *nats.Msg) { r.message(p, m) })
	if err != nil {
		return false // the connection is lost, and the store fails
	}
	_ = sub.SetPendingLimits(-1, -1) // fails only if the subscription has ended
	sub.SetClosedHandler(func(string) { r.ended(p) })
	p.sub = sub
	r.pull = p
	return true
}

// cancel takes back all requests. What comes until the engine knows it is given
// back, if it is not wanted. The caller holds the lock.
func (r *reader) cancel() {
	p := r.pull
	if p == nil || p.ending {
		return
	}
	p.ending = true
	if err := p.sub.Drain(); err != nil {
		go r.ended(p)
	}
}

// ended is called when a canceled pull gets nothing any more.
func (r *reader) ended(p *pull) {
	r.mu.Lock()
	if r.pull != p {
		r.mu.Unlock()
		return
	}
	r.pull = nil
	if !r.dead && len(r.ready) > r.want {
		r.giveBack(r.want)
	}
	if r.dead || r.paused > 0 {
		r.giveBack(0)
	}
	if r.dead && r.consumer != nil {
		r.q.consumers.release(r.consumer)
		r.consumer = nil
	}
	r.request()
	r.mu.Unlock()
	close(p.ended)
}

// giveBack returns all ready messages but the first ones. The caller holds the
// lock.
func (r *reader) giveBack(keep int) {
	list := make([]uint64, 0, len(r.ready)-keep)
	for i := range r.ready[keep:] {
		m := &r.ready[keep+i]
		list = append(list, m.Sequence)
		*m = broker.StoredMessage{}
	}
	r.ready = r.ready[:keep]
	r.giveReturn(list)
}

// message takes what the engine sends to a pull.
func (r *reader) message(p *pull, m *nats.Msg) {
	more, _, _ := p.sub.Pending()
	r.mu.Lock()
	p.heard = time.Now()
	if status := m.Header.Get("Status"); status != "" && len(m.Data) == 0 {
		r.status(p, m, status)
	} else {
		r.arrived(p, m)
	}
	r.mu.Unlock()
	if more <= 1 { // this one is counted
		r.deliver()
	}
}

// status takes an answer without a message. The caller holds the lock.
func (r *reader) status(p *pull, m *nats.Msg, status string) {
	text := m.Header.Get("Description")
	switch {
	case status == "100": // heart-beat
	case status == "408", status == "409" && strings.Contains(text, "MaxBytes"), status == "409" && strings.Contains(text, "Batch Completed"):
		n, _ := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		b, _ := strconv.ParseInt(m.Header.Get("Nats-Pending-Bytes"), 10, 64)
		p.messages = max(0, p.messages-n)
		p.bytes = max(0, p.bytes-b)
	case r.dead:
	default: // the consumer is not there
		k := r.consumer
		if k != nil {
			r.q.consumers.lost(k)
		}
		go func() {
			r.q.leave(r)
			r.fail(fmt.Errorf("the engine does not read the queue any more: %s %s", status, text))
		}()
	}
}

// arrived takes a message. The caller holds the lock.
func (r *reader) arrived(p *pull, m *nats.Msg) {
	p.messages = max(0, p.messages-1)
	p.bytes = max(0, p.bytes-int64(len(m.Subject)+len(m.Reply)+len(m.Data)))
	sequence, delivered, err := deliveryOf(m.Reply)
	if err != nil {
		r.q.log.Error("the engine delivered a message that cannot be acknowledged", "queue", r.queue.name, "error", err)
		return
	}
	put, err := parsePayload(m.Data)
	if err == nil && put.Queue != r.queue.name {
		err = errPayload
	}
	if err != nil {
		r.q.log.Error("a message of a queue cannot be read; it stays in the store and is not delivered", "queue", r.queue.name, "sequence", sequence, "error", err)
		r.q.later(m.Reply)
		return
	}
	if r.dead {
		r.q.nak(r.consumer, r.queue.name, []string{m.Reply})
		return
	}
	r.q.ledger.load(payloadHead{put.Queue, put.Share, put.Size, milliseconds(put.Expires)}, sequence, r.q.names.isReplacement(m.Subject))
	if h := r.held[sequence]; h != nil { // the engine thought that we are dead
		h.reply = m.Reply
		return
	}
	r.held[sequence] = &holding{reply: m.Reply, size: put.Size}
	r.ready = append(r.ready, broker.StoredMessage{
		QueuePut: put, Sequence: sequence, Attempts: r.q.attempts.get(sequence),
		Redelivered: delivered > 1 || sequence <= r.q.start.Load(),
	})
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// deliveryOf reads the subject that acknowledges a message.
func deliveryOf(reply string) (sequence uint64, delivered int, err error) {
	t := strings.Split(reply, ".")
	at := 4 // $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.…
	if len(t) >= 11 {
		at = 6 // $JS.ACK.<domain>.<account>.<stream>.<consumer>.…
	}
	if len(t) < 9 || t[0] != "$JS" || t[1] != "ACK" {
		return 0, 0, fmt.Errorf("%w: the delivery %q", errAnswer, reply)
	}
	if delivered, err = strconv.Atoi(t[at]); err != nil {
		return 0, 0, err
	}
	sequence, err = strconv.ParseUint(t[at+1], 10, 64)
	return sequence, delivered, err
}
