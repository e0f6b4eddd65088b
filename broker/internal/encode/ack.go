package encode

import (
	"strconv"
	"strings"
)

// An Ack identifies a delivery in the `ack` header of its MESSAGE. The zero
// value means that the client need not acknowledge it.
type Ack struct {
	Subscription uint32 // ordinal of the subscription in its session, from 1
	Number       uint64 // of the delivery to this subscription, from 1
}

// append appends the value of the header.
func (a Ack) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(a.Subscription), 10)
	b = append(b, '-')
	return strconv.AppendUint(b, a.Number, 10)
}

// ParseAck parses the value of an `ack` header. The value never begins with 0,
// unlike the message-id 00000001-7.
func ParseAck(id string) (a Ack, ok bool) {
	which, number, _ := strings.Cut(id, "-")
	o, err1 := strconv.ParseUint(which, 10, 32)
	n, err2 := strconv.ParseUint(number, 10, 64)
	if err1 != nil || err2 != nil || id[0] == '0' || number[0] == '0' {
		return Ack{}, false
	}
	return Ack{uint32(o), n}, true
}
