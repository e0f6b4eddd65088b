package frames

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// HeartBeat is one side's heart-beat header (STOMP 1.1 and 1.2,
// "Heart-beating").
type HeartBeat struct {
	// Send is the longest silence that this side guarantees; 0 if it cannot
	// send heart-beats.
	Send time.Duration
	// Receive is the longest silence that this side wants from the other; 0 if
	// it wants no heart-beats.
	Receive time.Duration
}

// ErrHeartBeat is the error of [ParseHeartBeat]. Its text may be sent to the
// client.
var ErrHeartBeat = errors.New("heart-beat is not two numbers of milliseconds from 0 to 2147483647")

// maxHeartBeat limits each number of a heart-beat header, in milliseconds (25
// days). Some clients send the largest int to mean "never", and a multiple of
// it must still fit a Duration.
const maxHeartBeat = math.MaxInt32

// String returns the value of the heart-beat header, in milliseconds:
// "10000,10000". It rounds fractions of a millisecond up, since 0 would mean
// none.
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

// ParseHeartBeat parses the value of a heart-beat header: two plain decimal
// numbers of milliseconds, from 0 to 2147483647, separated by a comma. An empty
// value means 0,0, like a missing header. For anything else it returns
// [ErrHeartBeat]. It accepts very small values: [NegotiateHeartBeat] never goes
// below what its own side offers.
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

// NegotiateHeartBeat returns the intervals that two headers result in, from the
// server's point of view: it must send something at least every send, and may
// expect something at least every receive. Each is the larger of what one side
// offers and the other wants, or 0 (no heart-beats) if either is 0.
func NegotiateHeartBeat(server, client HeartBeat) (send, receive time.Duration) {
	return agree(server.Send, client.Receive), agree(client.Send, server.Receive)
}

func agree(can, wants time.Duration) time.Duration {
	if can <= 0 || wants <= 0 {
		return 0
	}
	return max(can, wants)
}

// parseNumber parses plain decimal digits: no sign, no space, no empty string.
// It returns most for larger numbers, so that no input overflows, however long
// it is.
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
