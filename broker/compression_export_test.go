package broker

import "context"

// Encode is Push with a look at the frames: one for each subscription, in no
// order, as they are shared.
func (b *Broker) Encode(m *Message) (encoded [][]byte) {
	d, err := b.publishable(context.Background(), m)
	if err != nil {
		panic(err)
	}
	bt, p := b.begin(m, d.Name)
	b.fanOut(d.Destination, p, bt)
	for _, o := range bt.touched {
		o.mu.Lock()
		for _, seg := range o.pending.list {
			encoded = append(encoded, seg)
			o.bytes -= len(seg)
		}
		o.pending.release()
		o.pending = nil
		o.queued = false
		o.mu.Unlock()
	}
	clear(bt.touched)
	bt.touched = bt.touched[:0]
	bt.release()
	return encoded
}
