package checker

import (
	"testing"
	"unsafe"
)

// A run has millions of these; the package comment names the sizes.
func TestRecordsAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(send{}); n > 24 {
		t.Errorf("a SEND takes %d bytes", n)
	}
	if n := unsafe.Sizeof(delivery{}); n > 32 {
		t.Errorf("a MESSAGE takes %d bytes", n)
	}
}

// A million deliveries are recorded and judged within their memory.
func TestMillionsOfEvents(t *testing.T) {
	if testing.Short() {
		t.Skip("a million events")
	}
	const sends, subscribers = 50_000, 10
	c := New(Options{})
	pub := c.Session(Who{Session: "pub"})
	var all []*Session
	for range subscribers {
		s := c.Session(Who{User: "u", Session: "s"})
		s.Subscribe("0", "/topic/**", Auto, nil).Receipted("")
		all = append(all, s)
	}
	for range sends {
		id := pub.Send("/topic/a", "")
		body := Body(id, 0)
		for _, s := range all {
			s.Message(Message{Subscription: "0", Destination: "/topic/a", Body: body})
		}
		pub.Receipted(id)
	}
	bytes := 0
	for _, s := range c.sessions {
		bytes += cap(s.sends) * int(unsafe.Sizeof(send{}))
		for _, u := range s.all {
			bytes += cap(u.got) * int(unsafe.Sizeof(delivery{}))
		}
	}
	if per := bytes / (sends * subscribers); per > 50 {
		t.Errorf("a MESSAGE takes %d bytes", per)
	}
	if r := c.Report(); r.Total != 0 {
		t.Error(r)
	}
}
