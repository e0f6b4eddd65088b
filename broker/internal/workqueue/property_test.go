package workqueue

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// letter is a message of the property test.
type letter struct{ id, size int }

// journal records the offers of a call, and the deliveries that must not be
// settled: refused ones, and those settled by auto.
type journal struct {
	offers []offered
	void   []*Delivery[letter, *journal]
}

// player is a receiver with its consumer and its image in the model.
type player struct {
	id       int
	room     int
	consumer *Consumer[letter, *journal]
	image    *modelConsumer
	auto     bool
	held     []*Delivery[letter, *journal] // taken and not settled
}

func (p *player) Offer(j *journal, d *Delivery[letter, *journal]) bool {
	taken := p.room > 0
	j.offers = append(j.offers, offered{p.id, d.Message().id, d.Attempt(), taken})
	if taken {
		p.room--
	}
	if taken && !p.auto {
		p.held = append(p.held, d)
	} else {
		j.void = append(j.void, d)
	}
	return taken
}

// arena runs a store and its model in parallel.
type arena struct {
	store   *Store[letter, *journal]
	model   *model
	journal *journal
	players []*player
	stale   []*Delivery[letter, *journal]
	nextID  int
}

func newArena(t *rapid.T) *arena {
	small := func(name string, lo, hi int) int { return rapid.IntRange(lo, hi).Draw(t, name) }
	l := Limits{
		Messages: small("messages", 1, 8), Bytes: int64(small("bytes", 5, 40)), Queues: small("queues", 1, 4),
		TotalBytes: int64(small("total", 10, 60)), Attempts: small("attempts", 1, 3),
	}
	dead := func(m letter, queue string, _ int) (string, letter, int) {
		name, size := modelLetter(queue, m.size)
		return name, letter{m.id, size}, size
	}
	return &arena{
		store:   New[letter, *journal](l, dead),
		model:   &model{l.Messages, int(l.Bytes), l.Queues, int(l.TotalBytes), l.Attempts, map[string]*modelQueue{}, nil},
		journal: &journal{},
	}
}

// player picks a player that satisfies ok. It returns nil if there is none; the
// step then does nothing.
func (a *arena) player(t *rapid.T, ok func(*player) bool) *player {
	fit := slices.DeleteFunc(slices.Clone(a.players), func(p *player) bool { return !ok(p) })
	if len(fit) == 0 {
		return nil
	}
	return rapid.SampledFrom(fit).Draw(t, "consumer")
}

func open(p *player) bool    { return !p.image.closed }
func holding(p *player) bool { return len(p.held) > 0 }

var queueNames = rapid.SampledFrom([]string{"/queue/a", "/queue/b", "/queue/DLQ.a", "/queue/DLQ.b"})

func (a *arena) put(t *rapid.T) {
	name := queueNames.Draw(t, "queue")
	size := rapid.IntRange(0, 9).Draw(t, "size")
	a.nextID++
	a.sameLimit(t, a.store.Put(a.journal, name, letter{a.nextID, size}, size), a.model.put(name, a.nextID, size, 0))
}

func (a *arena) sameLimit(t *rapid.T, err error, want string) {
	got := ""
	if full := (*FullError)(nil); errors.As(err, &full) {
		got = full.Limit
	}
	if got != want {
		t.Fatalf("refused by %q, want %q", got, want)
	}
}

func (a *arena) consume(t *rapid.T) {
	name := queueNames.Draw(t, "queue")
	p := &player{id: len(a.players) + 1, room: rapid.IntRange(0, 4).Draw(t, "room"), auto: rapid.Bool().Draw(t, "auto")}
	prefetch := rapid.IntRange(0, 3).Draw(t, "prefetch")
	k, err := a.store.Consume(name, p, prefetch, p.auto)
	q := a.model.open(name)
	if (err == nil) != (q != nil) {
		t.Fatalf("Consume: %v; the model allows it: %v", err, q != nil)
	}
	if err != nil {
		a.sameLimit(t, err, LimitQueues)
		return
	}
	p.consumer = k
	p.image = &modelConsumer{id: p.id, queue: q, prefetch: prefetch, room: p.room, auto: p.auto}
	q.consumers = append(q.consumers, p.image)
	a.players = append(a.players, p)
}

func (a *arena) start(t *rapid.T) {
	if p := a.player(t, open); p != nil {
		p.consumer.Start(a.journal)
		a.model.start(p.image)
	}
}

func (a *arena) resume(t *rapid.T) {
	p := a.player(t, open)
	if p == nil {
		return
	}
	p.room = rapid.IntRange(0, 4).Draw(t, "room")
	p.image.room = p.room
	p.consumer.Resume(a.journal)
	a.model.resume(p.image)
}

func (a *arena) close(t *rapid.T) {
	if p := a.player(t, open); p != nil {
		a.closePlayer(p)
	}
}

func (a *arena) closePlayer(p *player) {
	a.stale = append(a.stale, p.held...)
	p.held = nil
	p.consumer.Close(a.journal)
	a.model.close(p.image)
}

// settle picks a delivery, or with through all up to it, and removes it from
// what its consumer holds in the test and in the model.
func (a *arena) settle(t *rapid.T, through bool) (*player, *Delivery[letter, *journal], []*modelMessage) {
	p := a.player(t, holding)
	if p == nil {
		return nil, nil, nil
	}
	last := rapid.IntRange(0, len(p.held)-1).Draw(t, "which")
	first, d := last, p.held[last]
	if through {
		first = 0
	}
	a.stale = append(a.stale, p.held[first:last+1]...)
	p.held = slices.Delete(p.held, first, last+1)
	return p, d, p.image.take(first, last+1-first)
}

func (a *arena) ack(t *rapid.T) {
	p, d, _ := a.settle(t, false)
	if p == nil {
		return
	}
	if !d.Ack(a.journal) {
		t.Fatal("Ack of an unsettled delivery is false")
	}
	a.model.dispatch(p.image.queue)
}

func (a *arena) ackThrough(t *rapid.T) {
	p, d, ms := a.settle(t, true)
	if p == nil {
		return
	}
	if n := d.AckThrough(a.journal); n != len(ms) {
		t.Fatalf("AckThrough settled %d, want %d", n, len(ms))
	}
	a.model.dispatch(p.image.queue)
}

func (a *arena) nack(t *rapid.T) {
	p, d, ms := a.settle(t, false)
	if p == nil {
		return
	}
	if !d.Nack(a.journal) {
		t.Fatal("Nack of an unsettled delivery is false")
	}
	a.model.nack(p.image, ms)
}

func (a *arena) nackThrough(t *rapid.T) {
	p, d, ms := a.settle(t, true)
	if p == nil {
		return
	}
	if n := d.NackThrough(a.journal); n != len(ms) {
		t.Fatalf("NackThrough settled %d, want %d", n, len(ms))
	}
	a.model.nack(p.image, ms)
}

func (a *arena) late(t *rapid.T) {
	stale := slices.Concat(a.stale, a.journal.void)
	if len(stale) == 0 {
		return
	}
	d := rapid.SampledFrom(stale).Draw(t, "delivery")
	if d.Ack(a.journal) || d.Nack(a.journal) || d.AckThrough(a.journal)+d.NackThrough(a.journal) != 0 {
		t.Fatal("a stale handle settled something")
	}
}

// check compares the whole visible state, and checks that no message has two
// holders.
func (a *arena) check(t *rapid.T) {
	if !slices.Equal(a.journal.offers, a.model.offers) {
		t.Fatalf("offers (consumer, message, attempt, taken)\n%v\nwant\n%v", a.journal.offers, a.model.offers)
	}
	a.journal.offers, a.model.offers = nil, nil

	a.model.sweep()
	var total int64
	seen := 0
	for got := range a.store.Queues() {
		q := a.model.names[got.Name]
		if q == nil {
			t.Fatalf("queue %q should not be there", got.Name)
		}
		stored := q.stored()
		want := QueueStats{Name: got.Name, Messages: len(stored), Bytes: int64(sizes(stored)), Unsettled: len(stored) - len(q.waiting), Consumers: len(q.consumers)}
		if got != want {
			t.Fatalf("queue is %+v, want %+v", got, want)
		}
		total += got.Bytes
		seen++
	}
	if names := a.store.queues.Load(); seen != len(a.model.names) || names != int64(seen) {
		t.Fatalf("%d queues, %d counted, want %d", seen, names, len(a.model.names))
	}
	if got := a.store.bytes.Load(); got != total {
		t.Fatalf("total is %d bytes, the queues hold %d", got, total)
	}

	holder := map[int]int{}
	for _, p := range a.players {
		for _, d := range p.held {
			if other := holder[d.Message().id]; other != 0 {
				t.Fatalf("message %d is held by consumers %d and %d", d.Message().id, other, p.id)
			}
			holder[d.Message().id] = p.id
		}
	}
}

// drain closes all consumers and reads all queues to the end. It checks that
// exactly the model's messages come out, in the order of their Put, and that
// nothing is left.
func (a *arena) drain(t *rapid.T) {
	for _, p := range a.players {
		if open(p) {
			a.closePlayer(p)
		}
	}
	a.check(t)
	for name, q := range a.model.names {
		p := &player{room: plenty, auto: true}
		k, err := a.store.Consume(name, p, 0, true)
		if err != nil {
			t.Fatal(err)
		}
		j := &journal{}
		k.Start(j)
		var got, want []int
		for _, o := range j.offers {
			got = append(got, o.message)
		}
		for _, m := range q.waiting {
			want = append(want, m.id)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s held %v, want %v", name, got, want)
		}
		k.Close(j)
	}
	wantEmpty(t, a.store)
}

func TestStoreAgainstModel(t *testing.T) {
	const stretches = 20 // one Repeat is some thirty steps, too few for a store to fill up and turn over
	rapid.Check(t, func(t *rapid.T) {
		a := newArena(t)
		for range stretches {
			t.Repeat(map[string]func(*rapid.T){
				"put": a.put, "putAgain": a.put, "putMore": a.put,
				"consume": a.consume, "start": a.start, "resume": a.resume, "close": a.close,
				"ack": a.ack, "ackThrough": a.ackThrough, "nack": a.nack, "nackThrough": a.nackThrough, "nackAgain": a.nack,
				"late": a.late, "": a.check,
			})
		}
		a.drain(t)
	})
}
