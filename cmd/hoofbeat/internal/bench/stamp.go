package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// stampSize is the minimum body size in bytes: four words of eight characters.
const stampSize = 32

// stamp begins the body of every message. The rest of the body is the same in
// all messages of a run, so that a change of any byte is detected.
type stamp struct {
	probe    bool // only tests whether a subscription is active
	run      uint16
	flow     uint32
	sequence uint64 // counts the messages of a flow from 0
	due      int64  // when it was due, in nanoseconds of the run's clock
}

var errStamp = errors.New("the body is not as it was sent")

// Each word holds 48 bits, six per character from '0' to 'o': a body is ASCII,
// because a WebSocket text message must be UTF-8.
const (
	word    = 1<<48 - 1
	runMask = 1<<15 - 1
)

// put writes the stamp to the beginning of a body.
func (s stamp) put(body []byte) {
	first := uint64(s.flow) | uint64(s.run&runMask)<<32
	if s.probe {
		first |= 1 << 47
	}
	second, third := s.sequence&word, uint64(s.due)&word
	_ = body[stampSize-1]
	putWord(body[0:8], first)
	putWord(body[8:16], second)
	putWord(body[16:24], third)
	putWord(body[24:32], seal(first, second, third))
}

// readStamp parses a stamp, and checks the rest of the body.
func readStamp(body, filling []byte) (stamp, error) {
	if len(body) != stampSize+len(filling) || !bytes.Equal(body[stampSize:], filling) {
		return stamp{}, errStamp
	}
	first, ok1 := readWord(body[0:8])
	second, ok2 := readWord(body[8:16])
	third, ok3 := readWord(body[16:24])
	check, ok4 := readWord(body[24:32])
	if !(ok1 && ok2 && ok3 && ok4) || check != seal(first, second, third) {
		return stamp{}, errStamp
	}
	return stamp{
		probe: first>>47 == 1, run: uint16(first >> 32 & runMask), flow: uint32(first),
		sequence: second, due: int64(third),
	}, nil
}

// seal returns a checksum of the words. It multiplies by odd numbers and mixes
// the bits, so that any single changed character is detected.
func seal(first, second, third uint64) uint64 {
	h := first * 0x9e3779b97f4a7c15
	h = (h ^ h>>29 ^ second) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>32 ^ third) * 0x94d049bb133111eb
	return h >> 16
}

// putWord spreads 48 bits over eight characters, in three halving steps.
func putWord(b []byte, v uint64) {
	v = v&0xffffff | v>>24&0xffffff<<32
	v = v&0x00000fff00000fff | v&0x00fff00000fff000<<4
	v = v&0x003f003f003f003f | v&0x0fc00fc00fc00fc0<<2
	binary.LittleEndian.PutUint64(b, v+0x3030303030303030)
}

func readWord(b []byte) (uint64, bool) {
	v := binary.LittleEndian.Uint64(b) - 0x3030303030303030
	if v&0xc0c0c0c0c0c0c0c0 != 0 { // also detects the borrow of a character below '0'
		return 0, false
	}
	v = v&0x003f003f003f003f | v>>2&0x0fc00fc00fc00fc0
	v = v&0x00000fff00000fff | v>>4&0x00fff00000fff000
	return v&0xffffff | v>>32<<24, true
}

// fillingOf returns the rest of a body of size bytes.
func fillingOf(size int) []byte {
	b := make([]byte, size-stampSize)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return b
}
