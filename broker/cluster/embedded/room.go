//go:build !nostore

package embedded

import (
	"sync/atomic"
	"time"
)

// roomFor is how long an answer about the free disk is reused.
const roomFor = 100 * time.Millisecond

// room is what is known about the disk. The zero value knows nothing.
type room struct {
	next    atomic.Int64 // when to look again, in nanoseconds since the epoch
	full    atomic.Pointer[FullError]
	reserve atomic.Int64 // 0: auto
	usage   atomic.Pointer[Usage]
}

// Room returns nil if a message may be stored. Otherwise the error is a
// [*FullError], whose text is for the client, or matches [ErrUnavailable]. Ask
// before each message: the engine does not survive a full disk. The answer may
// be 100 ms old; that is what the reserve is for. An edge has no disk: the store
// nodes look at theirs.
func (s *Server) Room() error {
	if s.dir == nil {
		return s.State().Err
	}
	if now, next := time.Now().UnixNano(), s.room.next.Load(); now >= next && s.room.next.CompareAndSwap(next, now+int64(roomFor)) {
		s.measure()
	}
	if err := s.State().Err; err != nil {
		return err
	}
	if full := s.room.full.Load(); full != nil {
		return full
	}
	return nil
}

// Usage returns how much of the disk is used. It may be 100 ms old.
func (s *Server) Usage() Usage {
	_ = s.Room() // looks again if it is time; the result is in the usage
	if u := s.room.usage.Load(); u != nil {
		return *u
	}
	return Usage{Limit: s.o.Disk, Free: -1, Size: -1}
}

// Streams returns how much each stream takes, in the order of their names.
// Unlike [Server.Usage] it asks the engine each time.
func (s *Server) Streams() []StreamUsage { return streamUsage(s.current()) }

// SetReserve changes Options.Reserve of a running engine.
func (s *Server) SetReserve(bytes int64) {
	s.room.reserve.Store(bytes)
	s.room.next.Store(0)
}

// measure looks at the disk and at the engine.
func (s *Server) measure() {
	u := Usage{Limit: s.o.Disk, Free: -1, Size: -1}
	free, total, files, err := diskOf(s.dir.path)
	if err == nil {
		u.Free, u.Size = free, total
	}
	u.Reserve = reserveOf(s.room.reserve.Load(), total)
	usageOf(s.current(), &u)
	var full *FullError
	switch {
	case err == nil && free < u.Reserve:
		full = &FullError{"store.reserve", u.Reserve, free}
	case err == nil && files == 0: // no file can be created
		full = &FullError{"store.reserve", u.Reserve, 0}
	case u.Stored+int64(s.o.Payload+headroom) > u.Limit: // the engine would refuse the largest message
		full = &FullError{"store.disk", u.Limit, u.Stored}
	}
	s.room.usage.Store(&u)
	s.room.full.Store(full)
}

// reserveOf returns the free bytes below which nothing is stored, on a disk of
// this size: by default 256 MiB or 2 %, whichever is more.
func reserveOf(configured, total int64) int64 {
	if configured > 0 {
		return configured
	}
	return max(256<<20, total/50)
}
