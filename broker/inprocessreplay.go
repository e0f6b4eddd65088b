package broker

// follow adds the subscription to the index. If at is not nil and it has a
// history, it gets its history first. generation is that of topics.Index.Add.
func (l *Subscription) follow(at *beginning) (generation uint64, err error) {
	b, sub := l.b, l.sub
	var r *replay
	if at != nil {
		r = b.newReplay(sub)
	}
	generation = b.router.Subscribe("", sub.dest, sub)
	b.presence.watch(sub)
	if r == nil {
		return generation, nil
	}
	if err := r.begin(at); err != nil {
		b.router.Unsubscribe("", sub.dest, sub)
		b.presence.unwatch(sub)
		return 0, err
	}
	l.recovered = r.claims
	return generation, nil
}

// launch begins to deliver on a goroutine.
func (r *replay) launch() {
	r.mu.Lock()
	r.started = true
	r.mu.Unlock()
	r.Resume(nil)
}

// replayRoom returns how many messages of a history may be added to the buffer:
// none as long as one waits, and then at most half of it, because live messages
// may follow. When none waits any more, run resumes the replay.
func (l *Subscription) replayRoom() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) > 0 {
		l.starved = true
		return 0
	}
	return min(max(1, l.buffer/2), replayStep)
}

// on returns a copy of m with the header that makes the claim.
func (c claim) on(m *Message) *Message {
	value := "false"
	if c == saysTrue {
		value = "true"
	}
	copied := *m
	copied.Headers = append([]Header{{Name: headerRecovered, Value: value}}, m.Headers...)
	return &copied
}
