package bench

// acknowledger answers the messages of one read with ACK frames in one write:
// one for each message, or one for the last if that covers all (ack mode
// client).
type acknowledger struct {
	cumulative bool
	ids        []byte // ACK frames, one after the other
	ends       []int  // where each ends
	out        []byte
}

// add adds a MESSAGE. It repeats header values as they were received, including
// escapes. STOMP 1.2 identifies the message by its ack header, 1.1 and 1.0 by
// message-id and subscription.
func (a *acknowledger) add(f *frame) {
	if a.cumulative {
		a.ids, a.ends = a.ids[:0], a.ends[:0]
	}
	a.ids = append(a.ids, "ACK\n"...)
	if id := f.header("ack"); id != nil {
		a.header("id", id)
	} else {
		a.header("message-id", f.header("message-id"))
		a.header("subscription", f.header("subscription"))
	}
	a.ids = append(a.ids, '\n', 0)
	a.ends = append(a.ends, len(a.ids))
}

func (a *acknowledger) header(name string, value []byte) {
	a.ids = append(append(a.ids, name...), ':')
	a.ids = append(append(a.ids, value...), '\n')
}

// flush writes the frames.
func (a *acknowledger) flush(c *conn) error {
	if len(a.ends) == 0 {
		return nil
	}
	a.out = a.out[:0]
	start := 0
	for _, end := range a.ends {
		a.out = c.wrap(a.out, a.ids[start:end])
		start = end
	}
	a.ids, a.ends = a.ids[:0], a.ends[:0]
	return c.write(a.out)
}
