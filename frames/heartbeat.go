package frames

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// HeartBeat is one side's pair of the heart-beat header (STOMP 1.1 and 1.2, "Heart-beating").
type HeartBeat struct {
	// Send is the longest silence this side promises; 0 if it cannot send heart-beats.
	Send time.Duration
	// Receive is the longest silence this side would like of the other; 0 if it wants no heart-beats.
	Receive time.Duration
}

// ErrHeartBeat is the error of [ParseHeartBeat]. Its text may be sent to the client.
var ErrHeartBeat = errors.New("heart-beat is not two numbers of milliseconds from 0 to 2147483647")

// maxHeartBeat bounds each number of a heart-beat header, in milliseconds (25 days): some clients write the largest int
// where they mean "never", and a multiple of it must still be a Duration.
const maxHeartBeat = math.MaxInt32

// String returns the pair as the heart-beat header has it, in milliseconds, e.g. "10000,10000". Parts of a millisecond are
// rounded up, since 0 would mean none.
func (h HeartBeat) String() string {
	b := strconv.AppendInt(make([]byte, 0, 24), milliseconds(h.Send), 10)
	b = append(b, ',')
	return string(strconv.AppendInt(b, milliseconds(h.Receive), 10))
}

func milliseconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64((d-1)/time.Millisecond) + 1
}

// ParseHeartBeat reads the value of a heart-beat header: two plain decimal numbers of milliseconds, from 0 to 2147483647,
// with a comma between. An empty value is 0,0, which is what a missing header stands for. Anything else is [ErrHeartBeat].
// Very small values are accepted: [NegotiateHeartBeat] never goes below what its own side offers.
func ParseHeartBeat(s string) (HeartBeat, error) {
	if s == "" {
		return HeartBeat{}, nil
	}
	first, second, ok := strings.Cut(s, ",")
	if !ok {
		return HeartBeat{}, ErrHeartBeat
	}
	send, ok1 := parseNumber(strings.TrimSpace(first), maxHeartBeat+1)
	receive, ok2 := parseNumber(strings.TrimSpace(second), maxHeartBeat+1)
	if !ok1 || !ok2 || send > maxHeartBeat || receive > maxHeartBeat {
		return HeartBeat{}, ErrHeartBeat
	}
	return HeartBeat{time.Duration(send) * time.Millisecond, time.Duration(receive) * time.Millisecond}, nil
}

// NegotiateHeartBeat returns what two pairs come to, seen by the server: it must send something at least every send, and
// may expect something at least every receive. In each direction that is the larger of what one side can and the other
// wants, and 0, no heart-beats, if either is 0.
func NegotiateHeartBeat(server, client HeartBeat) (send, receive time.Duration) {
	return agree(server.Send, client.Receive), agree(client.Send, server.Receive)
}

func agree(can, wants time.Duration) time.Duration {
	if can <= 0 || wants <= 0 {
		return 0
	}
	return max(can, wants)
}

// parseNumber reads plain decimal digits: no sign, no space, no empty string. What is larger than most becomes most, so
// that no number overflows, however long it is.
func parseNumber(s string, most int64) (n int64, ok bool) {
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		if n > (most-int64(c))/10 {
			n = most
			continue
		}
		n = n*10 + int64(c)
	}
	return n, s != ""
}
